//! The marker: which server, in which life and role, has all entries since when. It lives among the entries, so that it is
//! lost with them.

use redis::{Pipeline, Value};

use super::failure::Failure;
use super::server::{Identity, Server, next};

/// The marker's fields, in the order in which they are read.
const FIELDS: [&str; 7] = [
    "run_id",
    "replication_id",
    "evicted",
    "since",
    "losses",
    "acknowledged",
    "replicated",
];

/// What `HMGET` gives for [`FIELDS`].
type Fields = (
    Option<String>,
    Option<String>,
    Option<String>,
    Option<u64>,
    Option<u64>,
    Option<u64>,
    Option<u64>,
);

/// Whoever sees a marker that is absent or names another identity runs this. One client wins: the others find the marker
/// as it is to be. `since` goes up with every loss: an acknowledgement of one is none of the next, in the same second or under
/// a clock that was ahead.
///
/// ARGV: `always` if entries outlive a restart, and the seconds from now to the new `since`. The server's own clock is
/// read, the one that all clients share.
///
/// With `always` entries are still there if the marker is, and if this is the same server: in the same life, or in a new
/// one and no replica of an earlier life. A promoted replica has a second replication id until it starts anew, and its
/// copy of the marker says that there were replicas.
const SETTLE: &str = r"
local function info(section, field)
  return string.match(redis.call('INFO', section), '\n' .. field .. ':([^\r\n]*)')
end
local key = KEYS[1]
if info('replication', 'role') ~= 'master' then
  return redis.error_reply('READONLY the server is a replica')
end
local run_id = info('server', 'run_id')
local replication_id = info('replication', 'master_replid')
local evicted = info('stats', 'evicted_keys')
local alone = info('replication', 'connected_slaves') == '0'
local was = redis.call('HMGET', key, 'run_id', 'replication_id', 'evicted', 'since', 'replicated')
if was[1] ~= run_id or was[2] ~= replication_id or was[3] ~= evicted then
  local same_life = was[1] == run_id and was[3] == evicted
  local next_life = was[1] ~= run_id and evicted == '0' and alone and not was[5]
  local intact = ARGV[1] == 'always' and was[1] and was[4] and (same_life or next_life)
    and info('replication', 'master_replid2') == string.rep('0', 40)
  if not intact then
    local since = tonumber(redis.call('TIME')[1]) + tonumber(ARGV[2])
    since = math.max(since, tonumber(was[4] or '-1') + 1)
    redis.call('HSET', key, 'since', string.format('%.0f', since))
    redis.call('HINCRBY', key, 'losses', 1)
  end
  redis.call('HSET', key, 'run_id', run_id, 'replication_id', replication_id, 'evicted', evicted)
end
if not alone then
  redis.call('HSET', key, 'replicated', 1)
end
return redis.call('HMGET', key, unpack(ARGV, 3))
";

/// Acknowledges the loss up to ARGV 1, if there was none since.
const ACKNOWLEDGE: &str = r"
if redis.call('HGET', KEYS[1], 'since') ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'acknowledged', ARGV[1])
return 1
";

/// What the marker says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marker {
    /// Whose entries these are; `None` without a marker.
    identity: Option<Identity>,
    /// Everything that was issued from this second on and consumed or revoked is there.
    pub(super) since: u64,
    losses: u64,
    acknowledged: u64,
    /// The server has had replicas.
    replicated: bool,
}

/// Data that the server lost: see [`RedisStore::lost_data`](crate::RedisStore::lost_data).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostData {
    since: u64,
    losses: u64,
}

impl LostData {
    /// Tokens issued before this second may have been consumed or revoked without the store knowing. In seconds since 1970.
    #[must_use]
    pub fn since(&self) -> u64 {
        self.since
    }

    /// How often data was lost since the marker was first written, that first time included.
    #[must_use]
    pub fn losses(&self) -> u64 {
        self.losses
    }
}

impl Marker {
    /// Adds the command whose answer [`read`](Self::read) takes.
    pub(super) fn ask(pipeline: &mut Pipeline, key: &str) {
        pipeline.cmd("HMGET").arg(key).arg(&FIELDS);
    }

    /// Adds the script whose answer [`read`](Self::read) takes, to settle what the marker says.
    pub(super) fn settle(pipeline: &mut Pipeline, key: &str, outlives_restarts: bool, margin: u64) {
        pipeline
            .cmd("EVAL")
            .arg(SETTLE)
            .arg(1)
            .arg(key)
            .arg(if outlives_restarts { "always" } else { "" })
            .arg(margin)
            .arg(&FIELDS);
    }

    /// Adds the script that acknowledges a loss. Its answer is 1, or 0 after another loss.
    pub(super) fn acknowledge(pipeline: &mut Pipeline, key: &str, lost: &LostData) {
        pipeline
            .cmd("EVAL")
            .arg(ACKNOWLEDGE)
            .arg(1)
            .arg(key)
            .arg(lost.since);
    }

    /// Takes its answer off the front of a transaction's.
    pub(super) fn read(answers: &mut impl Iterator<Item = Value>) -> Result<Self, Failure> {
        let (run_id, replication_id, evicted, since, losses, acknowledged, replicated): Fields =
            next(answers)?;
        let identity = match (run_id, replication_id, evicted, since) {
            (Some(run_id), Some(replication_id), Some(evicted), Some(_)) => Some(Identity {
                run_id,
                replication_id,
                evicted,
            }),
            _ => None,
        };
        Ok(Self {
            identity,
            since: since.unwrap_or(u64::MAX),
            losses: losses.unwrap_or(0),
            acknowledged: acknowledged.unwrap_or(0),
            replicated: replicated.is_some(),
        })
    }

    /// Whether it says what `server` is now.
    pub(super) fn is_settled(&self, server: &Server) -> bool {
        self.identity.as_ref() == Some(&server.identity)
            && (self.replicated || !server.has_replicas)
    }

    /// What was lost, unless somebody has acknowledged it.
    pub(super) fn lost(&self) -> Option<LostData> {
        (self.acknowledged < self.since).then_some(LostData {
            since: self.since,
            losses: self.losses,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(fields: [&str; 7]) -> Vec<Value> {
        let value = |field: &str| match field {
            "" => Value::Nil,
            field => Value::BulkString(field.as_bytes().to_vec()),
        };
        vec![Value::Array(fields.map(value).to_vec())]
    }

    fn read(fields: [&str; 7]) -> Result<Marker, Failure> {
        Marker::read(&mut answer(fields).into_iter())
    }

    #[test]
    fn a_marker_that_is_not_whole_is_nobodys() {
        let whole = read(["a", "b", "0", "17", "2", "", ""]).unwrap();
        assert_eq!(whole.since, 17);
        assert!(whole.identity.is_some());
        for missing in 0..4 {
            let mut fields = ["a", "b", "0", "17", "2", "", ""];
            fields[missing] = "";
            assert_eq!(read(fields).unwrap().identity, None, "{missing}");
        }
        // Without `since` everything is refused.
        assert_eq!(read([""; 7]).unwrap().since, u64::MAX);
        assert!(read(["a", "b", "0", "soon", "2", "", ""]).is_err());
        assert!(Marker::read(&mut Vec::new().into_iter()).is_err());
    }

    #[test]
    fn a_loss_is_shown_until_it_is_acknowledged() {
        let lost = |since, acknowledged| {
            read(["a", "b", "0", since, "2", acknowledged, ""])
                .unwrap()
                .lost()
        };
        let shown = lost("17", "").unwrap();
        assert_eq!((shown.since(), shown.losses()), (17, 2));
        assert_eq!(lost("17", "17"), None);
        assert!(lost("18", "17").is_some());
    }
}
