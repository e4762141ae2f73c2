//! The user file: staff of every tenant with their Argon2id password hashes.

use std::collections::HashMap;
use std::path::Path;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use serde::{Deserialize, Serialize};

use crate::customers::check_label;
use crate::error::{BadInput, Failure, read_text};

const MAX_FILE_BYTES: u64 = 16 << 20;
const MAX_PASSWORD_BYTES: usize = 256;

/// A member of staff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Staff {
    /// The bank.
    pub tenant: String,
    /// Unique within the bank.
    pub user: String,
    /// The branch that the person works for.
    pub branch: String,
    /// Roles, named as the policies name them.
    pub roles: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    tenant: String,
    user: String,
    branch: String,
    roles: Vec<String>,
    /// PHC string `$argon2id$...`.
    password_hash: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserFile {
    users: Vec<toml::Spanned<Entry>>,
}

/// Everybody who may log in.
pub struct Users {
    by_name: HashMap<(String, String), (Staff, String)>,
    /// Verified against when the user is unknown, so that both answers take the same work.
    decoy: String,
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Users")
            .field("count", &self.by_name.len())
            .finish_non_exhaustive()
    }
}

impl Users {
    /// Reads and checks a user file.
    ///
    /// # Errors
    /// [`BadInput`] with file, line and reason.
    pub fn load(path: &Path) -> Result<Self, BadInput> {
        let text = read_text(path, MAX_FILE_BYTES)?;
        let name = path.display().to_string();
        let line = |at: usize| {
            let before = text.as_bytes().get(..at).unwrap_or_default();
            1 + before.iter().filter(|&&b| b == b'\n').count() as u64
        };
        let file: UserFile = toml::from_str(&text).map_err(|e| {
            // The message may quote the line, and the line may hold a hash: only the reason is kept.
            BadInput::at(
                &name,
                e.span().map_or(0, |s| line(s.start)),
                e.message().trim_end(),
            )
        })?;
        let mut by_name = HashMap::new();
        for entry in file.users {
            let at = line(entry.span().start);
            let fail = |reason: &str| BadInput::at(&name, at, reason);
            let Entry {
                tenant,
                user,
                branch,
                roles,
                password_hash,
            } = entry.into_inner();
            for label in [&tenant, &user, &branch].into_iter().chain(&roles) {
                check_label(label).map_err(fail)?;
            }
            let hash = PasswordHash::new(&password_hash)
                .map_err(|_| fail("`password_hash` is not a PHC string"))?;
            if hash.algorithm.as_str() != "argon2id" {
                return Err(fail("`password_hash` must be argon2id"));
            }
            let staff = Staff {
                tenant: tenant.clone(),
                user: user.clone(),
                branch,
                roles,
            };
            if by_name
                .insert((tenant, user), (staff, password_hash))
                .is_some()
            {
                return Err(fail("this user of this tenant stands twice"));
            }
        }
        let decoy =
            hash_password("a password that nobody has").map_err(|e| BadInput::file(path, e))?;
        Ok(Self { by_name, decoy })
    }

    /// Whether anybody is of this tenant.
    #[must_use]
    pub fn has_tenant(&self, tenant: &str) -> bool {
        self.by_name.keys().any(|(known, _)| known == tenant)
    }

    /// The member of staff, if the password is right. Takes tens of milliseconds: call it on a
    /// thread that may block.
    #[must_use]
    pub fn authenticate(&self, tenant: &str, user: &str, password: &str) -> Option<&Staff> {
        if password.len() > MAX_PASSWORD_BYTES {
            return None;
        }
        let known = self.by_name.get(&(tenant.to_owned(), user.to_owned()));
        let phc = known.map_or(&self.decoy, |(_, hash)| hash);
        let hash = PasswordHash::new(phc).ok()?;
        let right = Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .is_ok();
        known.filter(|_| right).map(|(staff, _)| staff)
    }
}

/// An Argon2id PHC string with a fresh salt and the crate's default cost (RFC 9106's second
/// recommendation scaled to 19 MiB, as OWASP lists it).
///
/// # Errors
/// The random number generator failed.
pub fn hash_password(password: &str) -> Result<String, Failure> {
    let hash = Argon2::default()
        .hash_password(password.as_bytes())
        .map_err(Failure::other)?;
    Ok(hash.to_string())
}

/// Writes the text of a user file.
///
/// # Errors
/// The random number generator failed.
pub fn user_file(staff: &[(Staff, String)]) -> Result<String, Failure> {
    let mut text = String::from("# Staff that may log in. Passwords are Argon2id hashes.\n");
    for (staff, password) in staff {
        let entry = Entry {
            tenant: staff.tenant.clone(),
            user: staff.user.clone(),
            branch: staff.branch.clone(),
            roles: staff.roles.clone(),
            password_hash: hash_password(password)?,
        };
        text.push_str("\n[[users]]\n");
        text.push_str(&toml::to_string(&entry).map_err(Failure::other)?);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn staff() -> Staff {
        Staff {
            tenant: "bank-a".into(),
            user: "lin".into(),
            branch: "b-1".into(),
            roles: vec!["manager".into()],
        }
    }

    #[test]
    fn only_the_right_password_of_the_right_tenant_is_accepted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.toml");
        std::fs::write(
            &path,
            user_file(&[(staff(), "correct horse".into())]).unwrap(),
        )
        .unwrap();
        let users = Users::load(&path).unwrap();
        assert_eq!(
            users.authenticate("bank-a", "lin", "correct horse"),
            Some(&staff())
        );
        assert_eq!(users.authenticate("bank-a", "lin", "wrong"), None);
        assert_eq!(users.authenticate("bank-b", "lin", "correct horse"), None);
        assert_eq!(
            users.authenticate("bank-a", "mei", "a password that nobody has"),
            None
        );
        assert_eq!(
            users.authenticate("bank-a", "lin", &"x".repeat(10_000)),
            None
        );
    }

    #[test]
    fn errors_name_the_line_and_keep_hashes_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.toml");
        let good = user_file(&[(staff(), "pw".into())]).unwrap();
        let error_of = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Users::load(&path).unwrap_err().to_string()
        };
        let twice = format!("{good}{}", good.split_once('\n').unwrap().1);
        assert!(error_of(&twice).contains("stands twice"));
        let sha = good.replace("$argon2id$", "$argon2d$");
        assert!(error_of(&sha).contains("users.toml:3: `password_hash` must be argon2id"));
        let broken = good.replace("password_hash = ", "password_hash : ");
        let message = error_of(&broken);
        assert!(
            message.contains("users.toml:8:") && !message.contains("argon2id"),
            "{message}"
        );
    }
}
