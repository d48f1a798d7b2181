//! An input that says where it is cut.

/// The first octet says where the rest is cut.
pub fn cut(input: &[u8]) -> (usize, &[u8]) {
    match input.split_first() {
        Some((&at, stream)) => (usize::from(at).min(stream.len()), stream),
        None => (0, input),
    }
}
