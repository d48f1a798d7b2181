//! A DNS that answers what it is told, and remembers what it was asked.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Mutex;

use async_trait::async_trait;
use mta_sts::{Names, NamesError};

/// The server that is said to answer, where none does.
pub(crate) const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 53);

/// What is said about one name.
#[derive(Clone, Debug)]
enum Answer<T> {
    Fails(NamesError),
    Has(T),
}

/// The names there are; of any other there is nothing.
#[derive(Debug, Default)]
pub(crate) struct Zone {
    txt: Mutex<HashMap<String, Answer<Vec<Vec<u8>>>>>,
    addresses: Mutex<HashMap<String, Answer<Vec<IpAddr>>>>,
    asked: Mutex<Vec<String>>,
}

impl Zone {
    /// Publishes these TXT records at `_mta-sts.` and the domain.
    pub(crate) fn sts(&self, domain: &str, records: &[&str]) {
        let records = records.iter().map(|record| record.as_bytes().to_vec()).collect();
        self.txt.lock().unwrap().insert(format!("_mta-sts.{domain}"), Answer::Has(records));
    }

    /// Publishes nothing at `_mta-sts.` and the domain.
    pub(crate) fn no_sts(&self, domain: &str) {
        self.txt.lock().unwrap().remove(&format!("_mta-sts.{domain}"));
    }

    /// Lets every query for the domain's record fail.
    pub(crate) fn sts_fails(&self, domain: &str, error: NamesError) {
        self.txt.lock().unwrap().insert(format!("_mta-sts.{domain}"), Answer::Fails(error));
    }

    /// Gives the domain's policy host these addresses.
    pub(crate) fn policy_host(&self, domain: &str, addresses: &[IpAddr]) {
        let answer = Answer::Has(addresses.to_vec());
        self.addresses.lock().unwrap().insert(format!("mta-sts.{domain}"), answer);
    }

    /// Lets every query for the policy host's addresses fail.
    pub(crate) fn policy_host_fails(&self, domain: &str, error: NamesError) {
        let answer = Answer::Fails(error);
        self.addresses.lock().unwrap().insert(format!("mta-sts.{domain}"), answer);
    }

    /// Every question so far, in order: kind and name.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn texts(&self, kind: &str, name: &str) -> Result<Option<Vec<Vec<u8>>>, NamesError> {
        self.asked.lock().unwrap().push(format!("{kind} {name}"));
        match self.txt.lock().unwrap().get(name) {
            None => Ok(None),
            Some(Answer::Has(texts)) => Ok(Some(texts.clone())),
            Some(Answer::Fails(error)) => Err(error.clone()),
        }
    }
}

#[async_trait]
impl Names for Zone {
    async fn txt(&self, name: &str) -> Result<Option<Vec<Vec<u8>>>, NamesError> {
        self.texts("txt", name)
    }

    async fn txt_fresh(&self, name: &str) -> Result<Option<Vec<Vec<u8>>>, NamesError> {
        self.texts("txt-fresh", name)
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, NamesError> {
        self.asked.lock().unwrap().push(format!("addresses {host}"));
        match self.addresses.lock().unwrap().get(host) {
            None => Ok(Vec::new()),
            Some(Answer::Has(addresses)) => Ok(addresses.clone()),
            Some(Answer::Fails(error)) => Err(error.clone()),
        }
    }
}
