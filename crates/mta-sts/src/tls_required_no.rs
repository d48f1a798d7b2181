//! Mail whose sender wants it to arrive whatever the policy asks of TLS (RFC 8689 §3).

/// Licence to send one message in spite of what the policy of its recipients asks of TLS: its header
/// says `TLS-Required: No`, and whoever runs the sender honours that.
///
/// Whoever can write a header could else switch enforcement off; so honouring is for the operator to
/// say, and [`TlsRequiredNo::assertion`] is the one place where it is said.
///
/// ```compile_fail,E0423
/// fn forge() -> mta_sts::danger::TlsRequiredNo {
///     mta_sts::danger::TlsRequiredNo(())
/// }
/// ```
///
/// ```
/// # use std::time::Duration;
/// # use mta_sts::{Purpose, danger::TlsRequiredNo};
/// fn purpose(licence: &TlsRequiredNo) -> Purpose<'_> {
///     Purpose::TlsRequiredNo { queued_for: Duration::ZERO, licence }
/// }
/// ```
///
/// Each is for one message:
///
/// ```compile_fail,E0599
/// # use mta_sts::danger::TlsRequiredNo;
/// fn twice(licence: &TlsRequiredNo) -> TlsRequiredNo {
///     TlsRequiredNo::clone(licence)
/// }
/// ```
///
/// ```
/// # use mta_sts::danger::TlsRequiredNo;
/// fn once(licence: &TlsRequiredNo) -> &TlsRequiredNo {
///     licence
/// }
/// ```
#[derive(Debug, Eq, PartialEq)]
pub struct TlsRequiredNo(());

impl TlsRequiredNo {
    /// The header of the message says `TLS-Required: No`, once, REQUIRETLS did not come with it, and
    /// the operator honours that of its sender (RFC 8689 §4.1).
    #[must_use]
    pub const fn assertion() -> Self {
        Self(())
    }
}
