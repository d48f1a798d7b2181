//! What a lenient reading of a report overlooked.

use thiserror::Error;

/// A deviation from RFC 8460 §4.4 that was overlooked, once for the whole report.
#[derive(Clone, Copy, Debug, Eq, Error, Ord, PartialEq, PartialOrd)]
pub enum Deviation {
    /// `additional-info-uri` stands for `additional-information`.
    #[error("\"additional-info-uri\" was taken for \"additional-information\"")]
    AdditionalInfoUri,
    /// An IP address cannot be read.
    #[error("an IP address cannot be read and was ignored")]
    BadAddress,
    /// The JSON begins with a byte order mark.
    #[error("the report begins with a byte order mark")]
    ByteOrderMark,
    /// A number of sessions is a text.
    #[error("a number of sessions is a text")]
    CountAsText,
    /// A time has no zone; it was taken for UTC.
    #[error("a time has no zone and was taken for UTC")]
    DateWithoutZone,
    /// A value is null or empty, and should have been left out.
    #[error("a value is null or empty")]
    EmptyValue,
    /// `mx-host` is a text and no array.
    #[error("\"mx-host\" is a text and not an array")]
    MxHostAsText,
    /// There is no `contact-info`.
    #[error("\"contact-info\" is missing")]
    NoContact,
    /// A number of sessions is missing or cannot be read.
    #[error("a number of sessions is missing and was taken for 0")]
    NoCount,
    /// A time is missing or cannot be read.
    #[error("a time of \"date-range\" is missing or cannot be read")]
    NoDate,
    /// There is no `organization-name`.
    #[error("\"organization-name\" is missing")]
    NoOrganization,
    /// A policy has no `policy-domain`.
    #[error("\"policy-domain\" is missing")]
    NoPolicyDomain,
    /// There is no `report-id`.
    #[error("\"report-id\" is missing")]
    NoReportId,
    /// `policy-string` holds an array as a text.
    #[error("\"policy-string\" holds an array as a text")]
    PolicyStringAsJson,
    /// `policy-string` is a text and no array.
    #[error("\"policy-string\" is a text and not an array")]
    PolicyStringAsText,
    /// A value is of another kind than it has to be.
    #[error("a value is of the wrong kind")]
    UnexpectedValue,
    /// A `policy-type` is none that is known.
    #[error("a \"policy-type\" is unknown")]
    UnknownPolicyType,
    /// A `result-type` is none that is known.
    #[error("a \"result-type\" is unknown")]
    UnknownResultType,
}
