//! A report's structure, with whatever stands where a value should.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The most texts of an array that are kept.
const LIST_MAX: usize = 10_000;

/// The largest number that a floating point number holds exactly.
const FLOAT_MAX: f64 = 9_007_199_254_740_992.0;

/// Declares a structure whose members may all be missing.
macro_rules! structures {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Default, Deserialize)]
            #[serde(rename_all = "kebab-case", default)]
            pub(super) struct $name {
                $(pub(super) $field: $type,)*
            }
        )*
    };
}

structures! {
    /// The whole of it.
    LaxReport {
        organization_name: Value,
        date_range: Option<LaxRange>,
        contact_info: Value,
        report_id: Value,
        policies: Option<Vec<LaxPolicy>>,
    }
    /// `date-range`.
    LaxRange {
        start_datetime: Value,
        end_datetime: Value,
    }
    /// An element of `policies`.
    LaxPolicy {
        policy: Option<LaxApplied>,
        summary: Option<LaxSummary>,
        failure_details: Option<Vec<LaxDetail>>,
    }
    /// `policy`.
    LaxApplied {
        policy_type: Value,
        policy_string: Value,
        policy_domain: Value,
        mx_host: Value,
    }
    /// `summary`.
    LaxSummary {
        total_successful_session_count: Value,
        total_failure_session_count: Value,
    }
    /// An element of `failure-details`.
    LaxDetail {
        result_type: Value,
        sending_mta_ip: Value,
        receiving_mx_hostname: Value,
        receiving_mx_helo: Value,
        receiving_ip: Value,
        failed_session_count: Value,
        additional_information: Value,
        additional_info_uri: Value,
        failure_reason_code: Value,
    }
}

/// What stands where a value should.
#[derive(Debug, Default)]
pub(super) enum Value {
    /// Nothing.
    #[default]
    Absent,
    /// The texts of an array, numbers among them; what else it holds is left out.
    List(Vec<String>),
    /// `null`.
    Null,
    /// A whole number that is not negative.
    Number(u64),
    /// An object, a truth value, another number.
    Other,
    /// A text.
    Text(String),
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

/// Takes any value.
struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, _truth: bool) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(u64::try_from(number).map_or(Value::Other, Value::Number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        let is_whole = (0.0..=FLOAT_MAX).contains(&number) && number.fract() == 0.0;
        let whole = format!("{number:.0}").parse().ok().filter(|_| is_whole);
        Ok(whole.map_or(Value::Other, Value::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Value, A::Error> {
        let mut texts = Vec::new();
        while let Some(value) = array.next_element::<Value>()? {
            let text = match value {
                Value::Text(text) => Some(text),
                Value::Number(number) => Some(number.to_string()),
                Value::Absent | Value::List(_) | Value::Null | Value::Other => None,
            };
            texts.extend(text.filter(|_| texts.len() < LIST_MAX));
        }
        Ok(Value::List(texts))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }
}
