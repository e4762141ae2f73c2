//! A star for every hidden character.

pub(super) const STAR: char = '*';

/// Hides every character.
pub(super) fn hide(value: &str) -> String {
    value.chars().map(|_| STAR).collect()
}

/// Keeps `first` and `last` characters of the value, if that hides at least one.
pub(super) fn keep(value: &str, first: usize, last: usize) -> String {
    let count = value.chars().count();
    let hidden_until = count.saturating_sub(last);
    if hidden_until <= first {
        return hide(value);
    }
    let mask = |(i, c)| {
        if (first..hidden_until).contains(&i) {
            STAR
        } else {
            c
        }
    };
    value.chars().enumerate().map(mask).collect()
}
