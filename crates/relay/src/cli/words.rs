//! Spans of time and sizes, as short as a table wants them.

use std::time::SystemTime;

use clock::Timestamp;

/// How long ago `moment` was.
pub(super) fn ago(moment: Timestamp, now: SystemTime) -> String {
    span(now.duration_since(moment.time()).unwrap_or_default().as_secs())
}

/// How far ahead `moment` is.
pub(super) fn ahead(moment: Timestamp, now: SystemTime) -> String {
    match moment.time().duration_since(now) {
        Ok(wait) if wait.as_secs() > 0 => format!("in {}", span(wait.as_secs())),
        Ok(_) | Err(_) => "now".to_owned(),
    }
}

/// A span of time in its largest unit, and the next where it counts.
pub(super) fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600, seconds / 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, minutes) => format!("{hours}h{:02}m", minutes % 60),
        (days, hours, _) => format!("{days}d{:02}h", hours % 24),
    }
}

/// A size, to one decimal.
pub(super) fn size(bytes: u64) -> String {
    let mut unit = 1_u64;
    for name in ["B", "KiB", "MiB"] {
        let next = unit.saturating_mul(1024);
        if bytes < next {
            return in_unit(bytes, unit, name);
        }
        unit = next;
    }
    in_unit(bytes, unit, "GiB")
}

/// `bytes` in a unit of this many bytes.
fn in_unit(bytes: u64, unit: u64, name: &str) -> String {
    let tenths = (bytes % unit).saturating_mul(10) / unit;
    match (bytes / unit, tenths) {
        (whole, 0) => format!("{whole} {name}"),
        (whole, tenths) => format!("{whole}.{tenths} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_shows_two_units_at_most() {
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (60, "1m"), (3_660, "1h01m"), (90_000, "1d01h")]
        {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn a_size_has_one_decimal() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (5 << 20, "5 MiB"),
            (3 << 40, "3072 GiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
