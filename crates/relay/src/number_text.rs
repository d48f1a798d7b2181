//! Numbers of things, in words.

/// A number of things: `1 host`, `2 hosts`.
pub(crate) fn counted(number: impl TryInto<u64>, one: &str, many: &str) -> String {
    match number.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {one}"),
        number => format!("{number} {many}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        assert_eq!(counted(0_u64, "host", "hosts"), "0 hosts");
        assert_eq!(counted(1_usize, "policy", "policies"), "1 policy");
        assert_eq!(counted(2_u32, "day", "days"), "2 days");
    }
}
