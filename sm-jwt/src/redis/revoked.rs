//! Revocations as entries: a second up to which tokens are revoked, and a second to keep that until.

use redis::Pipeline;

use super::failure::Failure;

/// Stands for every second.
const ALL: &str = "*";

/// Seconds above this one are not told apart from never: the end of the year 9999. Scripts count in doubles, which hold it.
const LAST_SECOND: u64 = 253_402_300_799;

/// Merges with what is there: ARGV 1 is the second up to which tokens are revoked, ARGV 2 the one to keep that until, `*`
/// for all and for ever. Neither ever goes down.
const REVOKE: &str = r"
local function later(a, b)
  if a == '*' or b == '*' then
    return '*'
  end
  return tonumber(a) < tonumber(b) and b or a
end
local since, until_ = ARGV[1], ARGV[2]
local held = redis.call('GET', KEYS[1])
if held then
  local held_since, held_until = string.match(held, '^([%d*]+) ([%d*]+)$')
  since, until_ = later(since, held_since), later(until_, held_until)
end
local value = since .. ' ' .. until_
if until_ == '*' then
  redis.call('SET', KEYS[1], value)
else
  redis.call('SET', KEYS[1], value, 'EXAT', until_)
end
return 1
";

/// The second at which the server may forget what is to be kept until `keep_until`, its clock being `tolerance` ahead;
/// `None` for never.
pub(super) fn expiry(keep_until: u64, tolerance: u64) -> Option<u64> {
    let second = keep_until.saturating_add(tolerance).max(1);
    (second <= LAST_SECOND).then_some(second)
}

/// Adds the script that revokes.
pub(super) fn revoke(pipeline: &mut Pipeline, key: &str, since: Option<u64>, expiry: Option<u64>) {
    let text = |second: Option<u64>| match second {
        Some(second) if second <= LAST_SECOND => second.to_string(),
        _ => ALL.to_owned(),
    };
    pipeline
        .cmd("EVAL")
        .arg(REVOKE)
        .arg(1)
        .arg(key)
        .arg(text(since))
        .arg(text(expiry));
}

/// Whether an entry revokes what was issued at `issued_at`.
pub(super) fn revokes(entry: &str, issued_at: u64) -> Result<bool, Failure> {
    let (since, _until) = entry
        .split_once(' ')
        .ok_or(Failure::Answer("a revocation is not two fields"))?;
    if since == ALL {
        return Ok(true);
    }
    let since: u64 = since
        .parse()
        .map_err(|_| Failure::Answer("a revocation has no second"))?;
    Ok(issued_at <= since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_revokes_up_to_its_second() {
        assert!(revokes("* 99", u64::MAX).unwrap());
        assert!(revokes("17 99", 17).unwrap());
        assert!(!revokes("17 *", 18).unwrap());
        for wrong in ["", "17", "x 1", "-1 5", "1.5 9"] {
            assert!(revokes(wrong, 0).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_lies_too_far_ahead_is_kept_for_ever() {
        assert_eq!(expiry(100, 5), Some(105));
        assert_eq!(expiry(0, 0), Some(1));
        assert_eq!(expiry(LAST_SECOND, 0), Some(LAST_SECOND));
        assert_eq!(expiry(LAST_SECOND, 1), None);
        assert_eq!(expiry(u64::MAX, 600), None);
    }
}
