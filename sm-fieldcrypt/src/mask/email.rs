//! Masks for e-mail addresses.

use super::stars::{STAR, hide};

/// Masks an e-mail address.
///
/// The first character of the local part stays, if there are at least four: with fewer, the rest could be tried out.
/// The domain stays where it is that of a large public provider and says nothing of who it is; of any other (`zhangsan.cn`
/// may be one person's) the dots and the last label stay. The marks of the local part (`.`, `+`) are hidden with it.
/// What is not one plain address (ASCII, one `@`, no quotes, a domain of labels that ends in letters) is hidden wholly.
///
/// ```
/// use sm_fieldcrypt::mask;
/// assert_eq!(mask::email("zhang.san@qq.com"), "z********@qq.com");
/// assert_eq!(mask::email("zhang.san@zhangsan.cn"), "z********@********.cn");
/// assert_eq!(mask::email("li@163.com"), "**@163.com");
/// assert_eq!(mask::email("not an address"), "**************");
/// ```
#[must_use]
pub fn email(value: &str) -> String {
    let Some((local, domain)) = value.split_once('@') else {
        return hide(value);
    };
    if !is_local(local) || !is_domain(domain) {
        return hide(value);
    }
    let shown = usize::from(local.len() >= 4);
    let local = local.chars().enumerate();
    let local = local.map(|(i, c)| if i < shown { c } else { STAR });
    let is_provider = PROVIDERS.iter().any(|p| p.eq_ignore_ascii_case(domain));
    let last_label = domain.rfind('.').unwrap_or_default();
    let domain = domain.chars().enumerate();
    let domain = domain.map(|(i, c)| {
        let shown = is_provider || i >= last_label || c == '.';
        if shown { c } else { STAR }
    });
    local.chain(['@']).chain(domain).collect()
}

/// Domains that millions share.
const PROVIDERS: [&str; 22] = [
    "126.com",
    "139.com",
    "163.com",
    "189.cn",
    "aliyun.com",
    "foxmail.com",
    "gmail.com",
    "hotmail.com",
    "icloud.com",
    "live.cn",
    "live.com",
    "msn.com",
    "outlook.com",
    "proton.me",
    "qq.com",
    "sina.cn",
    "sina.com",
    "sohu.com",
    "vip.163.com",
    "wo.cn",
    "yahoo.com",
    "yeah.net",
];

/// A dot-atom of RFC 5322: no quotes, no comments, no spaces.
fn is_local(local: &str) -> bool {
    let atom = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&c);
    local
        .split('.')
        .all(|part| !part.is_empty() && part.bytes().all(atom))
}

/// At least two labels, the last of letters.
fn is_domain(domain: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|c| c.is_ascii_alphanumeric() || c == b'-')
    };
    domain.split('.').all(label)
        && domain
            .rsplit_once('.')
            .is_some_and(|(_, last)| last.bytes().all(|c| c.is_ascii_alphabetic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_character_and_a_providers_domain_stay() {
        for (value, masked) in [
            ("12345678@qq.com", "1*******@qq.com"),
            ("Zhang+bank@GMail.com", "Z*********@GMail.com"),
            ("zhangsan@mail.example.com", "z*******@****.*******.com"),
            ("abcd@vip.163.com", "a***@vip.163.com"),
        ] {
            assert_eq!(email(value), masked);
        }
    }

    #[test]
    fn hazard_short_local_part_can_be_tried_out() {
        for (value, masked) in [
            ("a@qq.com", "*@qq.com"),
            ("ab@qq.com", "**@qq.com"),
            ("abc@qq.com", "***@qq.com"),
            ("abcd@qq.com", "a***@qq.com"),
        ] {
            assert_eq!(email(value), masked);
        }
    }

    #[test]
    fn hazard_domain_of_one_person() {
        assert_eq!(email("me@zhangsan.cn"), "**@********.cn");
        assert_eq!(email("me@qq.com.zhangsan.cn"), "**@**.***.********.cn");
        assert_eq!(email("mail@xqq.com"), "m***@***.com");
    }

    #[test]
    fn what_is_no_address_is_hidden_wholly() {
        for value in [
            "",
            "@",
            "zhangsan",
            "zhangsan.qq.com",
            "@qq.com",
            "zhangsan@",
            "zhangsan@qq",
            "zhangsan@.com",
            "zhangsan@qq.",
            "zhangsan@qq..com",
            "zhang@san@qq.com",
            "zhang..san@qq.com",
            ".zhangsan@qq.com",
            "zhang san@qq.com",
            "\"zhang@san\"@qq.com",
            "Zhang San <zhangsan@qq.com>",
            "zhangsan@[127.0.0.1]",
            "zhangsan@127.0.0.1",
            "张三丰@qq.com",
            "zhangsan@例子.com",
            "zhangsan＠qq.com",
            "zhangsan@qq.com ",
        ] {
            assert_eq!(email(value), "*".repeat(value.chars().count()), "{value}");
        }
    }
}
