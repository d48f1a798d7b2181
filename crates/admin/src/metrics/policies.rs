//! What policies say, and how they are had.

use mta_sts::{
    Decision, Exception, FetchEnded, Observer, Occasion, PolicyDomain, Undecided, WhyFallback,
};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::series::Counters;

/// What policies say, and how they are had.
#[derive(Debug, Default)]
pub struct PolicyMetrics {
    decisions: Counters<2>,
    fetches: Counters<2>,
    exceptions_used: Counter,
}

/// A fetch that brought a policy.
const SUCCESS: &str = "success";

impl PolicyMetrics {
    /// All at nought, in `registry`.
    pub(crate) fn registered(registry: &mut Registry) -> Self {
        let new = Self::default();
        let decisions = "Decisions on deliveries, by the policy and by why nothing was enforced";
        registry.register("policy_decisions", decisions, new.decisions.clone());
        let fetches = "Policies fetched over HTTPS, by what a TLS report calls the result";
        registry.register("policy_fetches", fetches, new.fetches.clone());
        let used = "Deliveries for which an exception overrode an enforced policy or TLSA records";
        registry.register("exceptions_used", used, new.exceptions_used.clone());
        drop(new.decisions.get_or_create(&[("policy", "enforce"), ("why", "")]));
        for occasion in [Occasion::First, Occasion::Refresh] {
            let labels = [("occasion", occasion.label()), ("result", SUCCESS)];
            drop(new.fetches.get_or_create(&labels));
        }
        new
    }
}

impl Observer for PolicyMetrics {
    fn decided(&self, decision: Result<&Decision, &Undecided>) {
        let (policy, why) = match decision {
            Ok(Decision::Require(_)) => ("enforce", ""),
            Ok(Decision::Permit(fallback)) => {
                if matches!(fallback.why(), WhyFallback::Exception { .. }) {
                    self.exceptions_used.inc();
                }
                let policy = fallback.evidence().policy.as_ref();
                let mode = policy.map_or("none", |cached| cached.policy().mode().as_str());
                (mode, fallback.why().label())
            }
            Err(undecided) => ("undecided", undecided.label()),
        };
        self.decisions.get_or_create(&[("policy", policy), ("why", why)]).inc();
    }

    fn dane_excepted(&self, _domain: &PolicyDomain) {
        self.exceptions_used.inc();
    }

    fn excepted(&self, _exception: &Exception) {
        self.exceptions_used.inc();
    }

    fn fetched(&self, fetch: &FetchEnded<'_>) {
        let result =
            fetch.result.map_or_else(|error| error.result_type().as_str(), |_policy| SUCCESS);
        let labels = [("occasion", fetch.occasion.label()), ("result", result)];
        self.fetches.get_or_create(&labels).inc();
    }
}
