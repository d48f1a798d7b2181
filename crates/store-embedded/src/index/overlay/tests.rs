use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::index::Write;

/// An engine in memory, which counts what it was given.
#[derive(Debug, Default)]
struct MapEngine {
    rows: Mutex<BTreeMap<Key, Vec<u8>>>,
    parts: Mutex<Vec<usize>>,
}

impl Lookup for MapEngine {
    fn find(&self, key: &Key) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.rows.lock().unwrap().get(key).cloned())
    }

    fn scan(&self, from: &Key, until: &Key, limit: usize) -> Result<Vec<Row>, EngineError> {
        let rows = self.rows.lock().unwrap();
        let found = rows.iter().filter(|(key, _)| *key >= from && *key < until).take(limit);
        Ok(found.map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

impl Engine for MapEngine {
    fn commit(&self, writes: Vec<Write>) -> Result<(), EngineError> {
        let borrowed = writes.iter().map(|(key, value)| (key, value.as_deref()));
        self.flush(&borrowed.collect::<Vec<_>>())
    }

    fn flush(&self, writes: &[WriteRef<'_>]) -> Result<(), EngineError> {
        self.parts.lock().unwrap().push(writes.len());
        let mut rows = self.rows.lock().unwrap();
        for (key, value) in writes {
            match value {
                Some(value) => drop(rows.insert((*key).clone(), value.to_vec())),
                None => drop(rows.remove(*key)),
            }
        }
        Ok(())
    }
}

fn key(n: u8) -> Key {
    Key(vec![n])
}

/// One thing that happens to the index.
#[derive(Clone, Debug)]
enum Step {
    Change(u8, Option<u8>),
    Turn,
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..12_u8, proptest::option::of(any::<u8>())).prop_map(|(k, v)| Step::Change(k, v)),
        1 => Just(Step::Turn),
        1 => Just(Step::Flush),
    ]
}

proptest! {
    /// Whatever lies in which layer, a reader sees what was done last.
    #[test]
    fn layers_over_an_engine_read_like_one_map(
        steps in proptest::collection::vec(step(), 0..80),
        from in 0..13_u8, until in 0..13_u8, limit in 0..9_usize,
    ) {
        let engine = Arc::new(MapEngine::default());
        let overlay = Overlay::of(Arc::<MapEngine>::clone(&engine));
        let mut model = BTreeMap::new();
        let mut turned = false;
        for step in steps {
            match step {
                Step::Change(k, Some(v)) => {
                    let change = match model.insert(key(k), vec![v]) {
                        None => Change::Add(vec![v]),
                        Some(_) => Change::Put(vec![v]),
                    };
                    overlay.apply(vec![(key(k), change)]);
                }
                Step::Change(k, None) => {
                    model.remove(&key(k));
                    overlay.apply(vec![(key(k), Change::Remove)]);
                }
                Step::Turn if !turned => {
                    overlay.rotate();
                    turned = true;
                }
                Step::Turn => {}
                Step::Flush => {
                    overlay.flush().unwrap();
                    turned = false;
                }
            }
            for n in 0..12 {
                prop_assert_eq!(overlay.find(&key(n)).unwrap(), model.get(&key(n)).cloned());
            }
        }
        let expected: Vec<Row> = model
            .iter()
            .filter(|(k, _)| **k >= key(from) && **k < key(until))
            .take(limit)
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        prop_assert_eq!(overlay.scan(&key(from), &key(until), limit).unwrap(), expected);
        overlay.flush().unwrap();
        overlay.rotate();
        overlay.flush().unwrap();
        prop_assert_eq!(&*engine.rows.lock().unwrap(), &model);
    }
}

#[test]
fn a_row_that_comes_and_goes_in_one_layer_costs_the_engine_nothing() {
    let engine = Arc::new(MapEngine::default());
    let overlay = Overlay::of(Arc::<MapEngine>::clone(&engine));
    overlay.apply(vec![(key(1), Change::Add(vec![1])), (key(2), Change::Add(vec![2]))]);
    overlay.apply(vec![(key(1), Change::Put(vec![3]))]);
    overlay.apply(vec![(key(1), Change::Remove)]);
    overlay.rotate();
    assert_eq!(overlay.flush().unwrap(), 1);
    overlay.apply(vec![(key(2), Change::Remove)]);
    assert!(overlay.bytes() > 0);
    overlay.rotate();
    assert_eq!((overlay.bytes(), overlay.flush().unwrap()), (0, 1));
    assert!(engine.rows.lock().unwrap().is_empty());
}

#[test]
fn many_rows_are_flushed_in_parts_and_the_last_key_comes_last() {
    let engine = Arc::new(MapEngine::default());
    let overlay = Overlay::of(Arc::<MapEngine>::clone(&engine));
    let keys = (0..5000_u32).map(|n| Key(n.to_be_bytes().to_vec()));
    overlay.apply(keys.map(|key| (key, Change::Add(Vec::new()))).collect());
    overlay.rotate();
    assert_eq!(overlay.flush().unwrap(), 5000);
    assert_eq!(*engine.parts.lock().unwrap(), [2048, 2048, 904]);
}
