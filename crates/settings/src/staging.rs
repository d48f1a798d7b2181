//! `[staging]`: mail that must not reach those it is for.

use listener::{HoldAll, Others, Staging};
use smtp::Mailbox;

use crate::check::Check;
use crate::raw_staging::{RawOthers, RawStaging};

impl Check<'_> {
    /// What becomes of mail that must not reach those it is for. That it is on is said whenever the
    /// settings are read: nobody may forget it.
    pub(crate) fn staging(&mut self) -> Staging {
        let RawStaging { redirect_to, allow, others, hold_all } = &self.raw.staging;
        let mailbox = |text: &str| Mailbox::parse(text).map_err(|_cause| "it is not an address");
        let staging = Staging {
            redirect_to: self.each("staging.redirect_to", redirect_to, mailbox),
            allow: self.addresses("staging.allow", allow),
            others: match others {
                RawOthers::Hold => Others::Held,
                RawOthers::Refuse => Others::Refused,
            },
            hold: if *hold_all { HoldAll::Yes } else { HoldAll::No },
        };
        if staging.others == Others::Refused && staging.allow.is_empty() {
            let problem = "refuses nobody: staging.allow lists whom to let through";
            self.wrong_with("staging.others", "staging.allow", problem);
        }
        if staging.others == Others::Refused && !staging.redirect_to.is_empty() {
            let problem =
                "has no effect beside staging.redirect_to, which takes the mail for others";
            self.wrong_with("staging.others", "staging.redirect_to", problem);
        }
        self.warnings.extend(staging.in_words());
        staging
    }
}
