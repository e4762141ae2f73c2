//! URIs, as far as comparing the targets of two requests goes (RFC 9449 section 4.3).

/// A target URI without query and fragment, in its normal form (RFC 3986 section 6.2.2 and 6.2.3): scheme and host in lower
/// case, no default port, no empty path, escapes in upper case and none for unreserved characters.
///
/// `None` for what is no absolute `http` or `https` URI, and for user information, dot segments and broken escapes, which
/// no honest client sends.
pub(crate) fn normal_target(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "https" => "443",
        "http" => "80",
        _ => return None,
    };
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let rest = rest.get(..end)?;
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at_checked(at)?,
        None => (rest, "/"),
    };
    let (host, port) = match authority.rsplit_once(':') {
        // The colons of an IPv6 address are inside brackets.
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority, ""),
    };
    if !is_host(host) || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut normal = format!("{scheme}://{}", host.to_ascii_lowercase());
    if !port.is_empty() && port != default_port {
        normal.push(':');
        normal.push_str(port);
    }
    push_path(&mut normal, path)?;
    Some(normal)
}

/// A name, an IPv4 address, or an IPv6 address in brackets; a colon stands in no other host.
fn is_host(host: &str) -> bool {
    let (text, others): (_, &[u8]) = match host.strip_prefix('[') {
        Some(rest) => (rest.strip_suffix(']').unwrap_or_default(), b":."),
        None => (host, b"-._~"),
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || others.contains(&byte);
    !text.is_empty() && text.bytes().all(plain)
}

fn push_path(normal: &mut String, path: &str) -> Option<()> {
    let start = normal.len();
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                let value = u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                if value.is_ascii_alphanumeric() || b"-._~".contains(&value) {
                    normal.push(char::from(value));
                } else {
                    normal.push_str(&format!("%{value:02X}"));
                }
            }
            0x21..=0x7e => normal.push(char::from(byte)),
            _ => return None,
        }
    }
    let path = normal.get(start..)?;
    let dots = path
        .split('/')
        .any(|segment| segment == "." || segment == "..");
    (!dots).then_some(())
}

#[cfg(test)]
mod tests {
    use super::normal_target;

    #[test]
    fn equal_targets_have_one_normal_form() {
        for (uri, normal) in [
            ("https://api.bank.example", "https://api.bank.example/"),
            (
                "HTTPS://API.Bank.Example:443/a/B",
                "https://api.bank.example/a/B",
            ),
            (
                "https://api.bank.example:/a?b=c#d",
                "https://api.bank.example/a",
            ),
            (
                "https://api.bank.example?b=/../c",
                "https://api.bank.example/",
            ),
            ("http://h:80/%7euser/%2f%e4", "http://h/~user/%2F%E4"),
            ("http://h:443/", "http://h:443/"),
            ("https://[2001:DB8::1]:8443/", "https://[2001:db8::1]:8443/"),
            ("https://[2001:db8::1]/x//y/", "https://[2001:db8::1]/x//y/"),
        ] {
            assert_eq!(normal_target(uri).as_deref(), Some(normal), "{uri}");
            assert_eq!(normal_target(normal).as_deref(), Some(normal));
        }
    }

    #[test]
    fn what_no_honest_client_sends_is_refused() {
        for uri in [
            "",
            "/a",
            "api.bank.example/a",
            "ftp://h/",
            "https://",
            "https:///a",
            "https://user@h/",
            "https://h:80a/",
            "https://h/a/../b",
            "https://h/a/%2e%2E/b",
            "https://h/.",
            "https://h/%4",
            "https://h/%+1",
            "https://h/a b",
            "https://h/\u{e4}",
            "https://h\\x/",
            "https://h:443:443/",
            "https://h:8443:443/",
            "https://2001:db8::1/",
            "https://[2001:db8::1/",
            "https://[]/",
            "https://[::1]x/",
            "https://[::1][::1]/",
            "https://h]/",
        ] {
            assert_eq!(normal_target(uri), None, "{uri}");
        }
    }
}
