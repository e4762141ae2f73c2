//! How far the tests over every length go.

/// Up to `whole`: four times the widest kernel's lanes and beyond. Up to `part` on the emulated CPU, where the same is
/// a matter of hours.
pub(crate) fn all_up_to(whole: usize, part: usize) -> std::ops::RangeInclusive<usize> {
    match std::env::var_os("SM_ACCEL_FEWER_LENGTHS") {
        None => 0..=whole,
        Some(_) => 0..=part,
    }
}
