//! The DNS as `mta-sts` asks it, answered by `dns`.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use dns::{Dns, Lookup, LookupError, Txt};
use mta_sts::{Names, NamesError};
use smtp::Domain;

/// Answers [`Names`] through a [`Dns`].
#[derive(Debug)]
pub(crate) struct DnsForMtaSts(pub(crate) Arc<dyn Dns>);

#[async_trait]
impl Names for DnsForMtaSts {
    async fn txt(&self, name: &str) -> Result<Option<Vec<Txt>>, NamesError> {
        texts(self.0.txt(name).await)
    }

    async fn txt_fresh(&self, name: &str) -> Result<Option<Vec<Txt>>, NamesError> {
        texts(self.0.txt_fresh(name).await)
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, NamesError> {
        let host = Domain::parse(host).map_err(NamesError::other)?;
        let found = self.0.addresses(&host).await.map_err(cannot_tell)?;
        Ok(found.into_records().map(|found| found.records).unwrap_or_default())
    }
}

/// The records, or that there are none.
fn texts(answer: Result<Lookup<Txt>, LookupError>) -> Result<Option<Vec<Txt>>, NamesError> {
    Ok(answer.map_err(cannot_tell)?.into_records().map(|found| found.records))
}

/// The same failure in the other crate's words; none of them becomes an absence.
fn cannot_tell(error: LookupError) -> NamesError {
    match error {
        LookupError::Bogus => NamesError::Bogus,
        LookupError::Refused { server } => NamesError::Refused { server },
        LookupError::ServFail { server } => NamesError::ServFail { server },
        LookupError::TimedOut => NamesError::TimedOut,
        LookupError::Malformed { .. } | LookupError::Other { .. } => NamesError::other(error),
    }
}

#[cfg(test)]
mod tests {
    use dns::{Canonical, Mx, Records, Security, TlsaData, Validation};

    use super::*;

    /// Answers every question alike.
    #[derive(Clone, Debug)]
    enum Alike {
        Fails(LookupError),
        HasNone,
        IsNot,
    }

    impl Alike {
        fn answer<T>(&self) -> Result<Lookup<T>, LookupError> {
            match self {
                Self::Fails(error) => Err(error.clone()),
                Self::HasNone => Ok(Lookup::NoData(Security::Insecure)),
                Self::IsNot => Ok(Lookup::NxDomain(Security::Insecure)),
            }
        }
    }

    #[async_trait]
    impl Dns for Alike {
        fn validation(&self) -> Validation {
            Validation::Inactive
        }

        async fn mx(&self, _domain: &Domain) -> Result<Lookup<Mx>, LookupError> {
            self.answer()
        }

        async fn addresses(&self, _host: &Domain) -> Result<Lookup<IpAddr>, LookupError> {
            self.answer()
        }

        async fn txt(&self, _name: &str) -> Result<Lookup<Txt>, LookupError> {
            self.answer()
        }

        async fn cname(&self, _host: &Domain) -> Result<Lookup<Canonical>, LookupError> {
            self.answer()
        }

        async fn tlsa(&self, _host: &Domain, _port: u16) -> Result<Lookup<TlsaData>, LookupError> {
            self.answer()
        }
    }

    #[tokio::test]
    async fn an_unanswered_question_never_becomes_an_absence() {
        let server = "192.0.2.53:53".parse().unwrap();
        for error in [
            LookupError::Bogus,
            LookupError::Refused { server },
            LookupError::ServFail { server },
            LookupError::TimedOut,
            dns::Malformation::CnameLoop.into(),
        ] {
            let names = DnsForMtaSts(Arc::new(Alike::Fails(error.clone())));
            assert!(names.txt("_mta-sts.example.org").await.is_err(), "{error}");
            assert!(names.txt_fresh("_mta-sts.example.org").await.is_err(), "{error}");
            assert!(names.addresses("mta-sts.example.org").await.is_err(), "{error}");
        }
    }

    #[test]
    fn the_server_that_does_not_tell_is_named() {
        let server = "192.0.2.53:53".parse().unwrap();
        for error in [LookupError::Refused { server }, LookupError::ServFail { server }] {
            assert_eq!(cannot_tell(error.clone()).to_string(), error.to_string());
            assert!(error.to_string().starts_with("resolver 192.0.2.53:53 "), "{error}");
        }
    }

    #[tokio::test]
    async fn no_name_and_no_record_are_both_an_absence() {
        for absent in [Alike::HasNone, Alike::IsNot] {
            let names = DnsForMtaSts(Arc::new(absent));
            assert_eq!(names.txt("_mta-sts.example.org").await.unwrap(), None);
            assert!(names.addresses("mta-sts.example.org").await.unwrap().is_empty());
        }
    }

    #[test]
    fn records_are_handed_on_as_they_are() {
        let records = vec![b"v=STSv1; id=1;".to_vec(), b"\xff".to_vec()];
        let found = Records {
            records: records.clone(),
            security: Security::Insecure,
            canonical: None,
            valid_for: std::time::Duration::ZERO,
        };
        assert_eq!(texts(Ok(Lookup::Found(found))).unwrap(), Some(records));
    }
}
