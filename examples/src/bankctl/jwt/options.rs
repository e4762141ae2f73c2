//! What more than one of these commands is given.

use std::time::Duration;

use clap::ValueEnum;
use sm_jwt::TokenType;

/// Types of token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    #[value(name = "at+jwt", alias = "access")]
    Access,
    #[value(name = "refresh+jwt", alias = "refresh")]
    Refresh,
    #[value(name = "txn+jwt", alias = "transaction")]
    Transaction,
}

impl From<Kind> for TokenType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Access => Self::Access,
            Kind::Refresh => Self::Refresh,
            Kind::Transaction => Self::Transaction,
        }
    }
}

/// A number of seconds, or of minutes, hours or days with a letter behind it.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3_600),
        Some((at, 'd')) => (&text[..at], 86_400),
        _ => (text, 1),
    };
    let seconds = number
        .parse::<u32>()
        .map_err(|_| "not a number of seconds, or one with s, m, h or d behind it".to_owned())?;
    Ok(Duration::from_secs(u64::from(seconds) * unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [
            ("0", 0),
            ("90", 90),
            ("5m", 300),
            ("2h", 7_200),
            ("1d", 86_400),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "m", "-1", "1.5", "5 m", "5\u{ff4d}", "4294967296"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
