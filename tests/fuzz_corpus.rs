//! The corpora of the fuzz targets, replayed: what was once found stays mended.

use std::fs;
use std::path::Path;

#[path = "fuzz/targets.rs"]
mod targets;

#[test]
fn every_input_of_every_corpus_holds() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus");
    for (name, target) in targets::TARGETS {
        let folder = corpora.join(name);
        let inputs: Vec<_> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!inputs.is_empty(), "{name} has no corpus");
        for input in inputs {
            let bytes = fs::read(&input).unwrap();
            let outcome = std::panic::catch_unwind(|| target(&bytes));
            assert!(outcome.is_ok(), "{name}: {}", input.display());
        }
    }
}
