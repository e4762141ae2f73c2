//! Signatures that held before.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::crypto::sm3;

const SHARDS: usize = 16;

/// Remembers which tokens' signatures hold, so that a token that is shown again costs a hash in place of a verification.
///
/// What is remembered is SM3 over the generation of the key set, the key's name and the whole token: another token,
/// another set of keys or another key is never found. Nothing else is remembered: times, audience, revocation, replay
/// and what the token is bound to are checked every time.
pub(crate) struct SignatureCache {
    shards: [Mutex<Shard>; SHARDS],
    /// Entries of a shard's younger half.
    half: usize,
}

/// What was found lately, and what was found before that: when the younger half is full it becomes the older one.
#[derive(Default)]
struct Shard {
    young: HashSet<[u8; 32]>,
    old: HashSet<[u8; 32]>,
}

/// The name of a token under a key.
#[derive(Clone, Copy)]
pub(crate) struct CacheKey([u8; 32]);

impl CacheKey {
    pub(crate) fn new(generation: u64, kid: &str, token: &str) -> Self {
        let length = |text: &str| (text.len() as u64).to_be_bytes();
        Self(sm3(&[
            &generation.to_be_bytes(),
            &length(kid),
            kid.as_bytes(),
            &length(token),
            token.as_bytes(),
        ]))
    }
}

impl SignatureCache {
    /// For about `capacity` tokens, at 40 to 80 bytes each.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            shards: Default::default(),
            half: capacity.div_ceil(2 * SHARDS).max(1),
        }
    }

    fn shard(&self, key: &CacheKey) -> Option<&Mutex<Shard>> {
        let [first, ..] = key.0;
        self.shards.get(usize::from(first) % SHARDS)
    }

    /// Whether this token's signature was found to hold.
    pub(crate) fn holds(&self, key: &CacheKey) -> bool {
        let Some(shard) = self.shard(key) else {
            return false;
        };
        // A panic cannot have put a key there that was not checked.
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if shard.young.contains(&key.0) {
            return true;
        }
        // Found again: it is young once more.
        let found = shard.old.contains(&key.0);
        if found {
            shard.insert(key, self.half);
        }
        found
    }

    /// This token's signature holds.
    pub(crate) fn remember(&self, key: &CacheKey) {
        let Some(shard) = self.shard(key) else {
            return;
        };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        shard.insert(key, self.half);
    }
}

impl Shard {
    fn insert(&mut self, key: &CacheKey, half: usize) {
        if self.young.len() >= half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key.0);
    }
}

impl fmt::Debug for SignatureCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignatureCache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::claims::{Claims, NoExtra};
    use crate::error::Error;
    use crate::key_id::KeyId;
    use crate::key_set::KeySet;
    use crate::keys::SigningKey;
    use crate::profile::Profile;
    use crate::replay::ReplayPolicy;
    use crate::resolver::SharedKeySet;
    use crate::signer::Signer;
    use crate::token::UnverifiedToken;
    use crate::token_type::TokenType;
    use crate::verifier::Verifier;

    fn len(cache: &SignatureCache) -> usize {
        let shards = cache.shards.iter().map(|shard| shard.lock().unwrap());
        shards
            .map(|shard| shard.young.len() + shard.old.len())
            .sum()
    }

    fn key(number: usize) -> CacheKey {
        CacheKey::new(0, "k", &number.to_string())
    }

    #[test]
    fn only_the_very_same_is_found() {
        let cache = SignatureCache::new(100);
        let remembered = CacheKey::new(7, "ab", "cd.e.f");
        assert!(!cache.holds(&remembered));
        cache.remember(&remembered);
        assert!(cache.holds(&CacheKey::new(7, "ab", "cd.e.f")));
        for other in [
            CacheKey::new(8, "ab", "cd.e.f"),
            CacheKey::new(7, "a", "bcd.e.f"),
            CacheKey::new(7, "abc", "d.e.f"),
            CacheKey::new(7, "", "abcd.e.f"),
            CacheKey::new(7, "ab", "cd.e.g"),
            CacheKey::new(7, "ab", "cd.e.f "),
            CacheKey::new(7, "ab", "cd.e"),
            CacheKey::new(7, "AB", "cd.e.f"),
        ] {
            assert!(!cache.holds(&other));
        }
    }

    /// About so many, whatever comes: the bound is exact a shard, and no shard has more than its part.
    #[test]
    fn memory_is_bounded() {
        for capacity in [1, 2, 31, 32, 33, 1000] {
            let cache = SignatureCache::new(capacity);
            let most = capacity.div_ceil(2 * SHARDS) * 2 * SHARDS;
            for number in 0..20_000 {
                cache.remember(&key(number));
                // What was found last is found again.
                assert!(cache.holds(&key(number)));
            }
            assert!(len(&cache) <= most, "{} of {capacity}", len(&cache));
            assert!(len(&cache) >= most / 2);
        }
    }

    /// A token that is shown again and again stays, however many others pass by.
    #[test]
    fn what_is_shown_often_stays() {
        let cache = SignatureCache::new(64);
        cache.remember(&key(0));
        for number in 1..20_000 {
            cache.remember(&key(number));
            assert!(cache.holds(&key(0)), "{number}");
        }
        assert!(!cache.holds(&key(1)));
    }

    /// What a verifier remembers: a token whose signature holds, under the set of keys that it was checked with.
    #[test]
    fn a_verifier_remembers_what_holds() {
        let signer = |kid: &str| {
            let key = SigningKey::generate().unwrap();
            Signer::new(key, KeyId::new(kid).unwrap(), Profile::default()).unwrap()
        };
        let (one, two) = (signer("k"), signer("k"));
        let set = |signer: &Signer| KeySet::from_trusted([signer.key().clone()]).unwrap();
        let keys = SharedKeySet::new(set(&one));
        let verifier = Verifier::builder(TokenType::Access, ReplayPolicy::MultiUse)
            .issuer_keys("issuer", Arc::new(keys.clone()))
            .audience("audience")
            .cache_signatures(100)
            .build()
            .unwrap();
        let sign = |signer: &Signer| {
            let claims = Claims::builder()
                .issuer("issuer")
                .subject("subject")
                .audience("audience")
                .lifetime(Duration::from_secs(300));
            signer.sign(&claims, TokenType::Access, &NoExtra).unwrap()
        };
        let check = |token: &str| {
            let token = UnverifiedToken::parse(token, verifier.limits()).unwrap();
            verifier.verify::<NoExtra>(token)
        };
        let cache = verifier.cache.as_ref().unwrap();
        let holds = |token: &str| {
            let generation = verifier.issuers.find("issuer", "k").unwrap().generation;
            cache.holds(&CacheKey::new(generation, "k", token))
        };
        let (token, foreign) = (sign(&one), sign(&two));
        assert!(!holds(&token));
        check(&token).unwrap();
        assert!(holds(&token));
        assert!(matches!(check(&foreign), Err(Error::BadSignature)));
        assert!(!holds(&foreign));
        assert_eq!(len(cache), 1);
        check(&token).unwrap();
        assert_eq!(len(cache), 1);
        // The same keys in another set are another set.
        keys.replace(set(&one));
        assert!(!holds(&token));
        check(&token).unwrap();
        assert!(holds(&token));
        assert_eq!(len(cache), 2);
        keys.replace(set(&two));
        assert!(!holds(&token));
        assert!(matches!(check(&token), Err(Error::BadSignature)));
        check(&foreign).unwrap();
    }
}
