//! A number for a name.

/// A number that is the same for the same bytes (FNV-1a); two names rarely share one.
pub(crate) fn digest(bytes: impl Iterator<Item = u8>) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.fold(0xcbf2_9ce4_8422_2325, step)
}
