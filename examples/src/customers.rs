//! The customer file: its shape, its checks, and the generator that makes sample data.
//!
//! Columns: `customer_id,tenant_id,branch,name,id_number,card_number,phone,device_serial,track`.
//! Every row is checked on reading: the identity number's birth date and check digit
//! (GB 11643-1999), the card's Luhn digit (ISO/IEC 7812-1), the phone's form and the track's points.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{BadInput, read_input};

/// One customer, as the file gives it: everything in clear.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Customer {
    /// Unique over all tenants, `[A-Za-z0-9-]{1,32}`; it is the row key of every encrypted field.
    pub customer_id: String,
    /// The bank that the customer belongs to.
    pub tenant_id: String,
    /// The branch that keeps the account.
    pub branch: String,
    /// The customer's name.
    pub name: String,
    /// Resident identity number, 18 characters (GB 11643).
    pub id_number: String,
    /// Bank card number, 16 to 19 digits (Luhn).
    pub card_number: String,
    /// Mobile number, 11 digits.
    pub phone: String,
    /// Serial number of the bound device.
    pub device_serial: String,
    /// Points `longitude latitude unix-seconds`, joined by `;`.
    pub track: String,
}

const COLUMNS: [&str; 9] = [
    "customer_id",
    "tenant_id",
    "branch",
    "name",
    "id_number",
    "card_number",
    "phone",
    "device_serial",
    "track",
];
const MAX_FILE_BYTES: u64 = 256 << 20;
const MAX_TRACK_BYTES: usize = 64 << 10;

/// Reads and checks a customer file.
///
/// # Errors
/// [`BadInput`] with file, line, column and reason for the first row that breaks a rule.
pub fn read_customers(path: &Path) -> Result<Vec<Customer>, BadInput> {
    let bytes = read_input(path, MAX_FILE_BYTES)?;
    parse_customers(&path.display().to_string(), bytes.as_slice())
}

/// [`read_customers`] over any reader; `name` stands in the errors.
///
/// # Errors
/// As [`read_customers`].
pub fn parse_customers(name: &str, reader: impl Read) -> Result<Vec<Customer>, BadInput> {
    let mut csv = csv::ReaderBuilder::new().from_reader(reader);
    let header = csv.headers().map_err(|e| csv_error(name, &e))?;
    if header.iter().ne(COLUMNS) {
        let found: Vec<&str> = header.iter().collect();
        return Err(BadInput::at(
            name,
            1,
            format!(
                "header is `{}`, expected `{}`",
                found.join(","),
                COLUMNS.join(",")
            ),
        ));
    }
    let header = header.clone();
    let mut customers = Vec::new();
    let mut seen = HashSet::new();
    let mut record = csv::StringRecord::new();
    while csv
        .read_record(&mut record)
        .map_err(|e| csv_error(name, &e))?
    {
        let line = record.position().map_or(0, csv::Position::line);
        let customer: Customer = record
            .deserialize(Some(&header))
            .map_err(|e| csv_error(name, &e))?;
        check_customer(&customer).map_err(|(column, reason)| {
            BadInput::at(name, line, format!("column `{column}`: {reason}"))
        })?;
        if !seen.insert(customer.customer_id.clone()) {
            return Err(BadInput::at(
                name,
                line,
                format!(
                    "column `customer_id`: `{}` stands twice",
                    customer.customer_id
                ),
            ));
        }
        customers.push(customer);
    }
    if customers.is_empty() {
        return Err(BadInput::at(name, 1, "no customer rows".to_owned()));
    }
    Ok(customers)
}

fn csv_error(name: &str, error: &csv::Error) -> BadInput {
    let line = error.position().map_or(0, csv::Position::line);
    // `UnequalLengths` and UTF-8 errors name fields by number only; no cell content is repeated.
    let reason = match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => {
            format!("{len} columns, expected {expected_len}")
        }
        csv::ErrorKind::Utf8 { err, .. } => format!("column {}: not UTF-8", err.field() + 1),
        _ => "not a CSV record".to_owned(),
    };
    BadInput::at(name, line, reason)
}

/// Checks one row; an error names the column. Values are personal data: errors never repeat them.
fn check_customer(c: &Customer) -> Result<(), (&'static str, &'static str)> {
    check_label(&c.customer_id).map_err(|e| ("customer_id", e))?;
    check_label(&c.tenant_id).map_err(|e| ("tenant_id", e))?;
    check_label(&c.branch).map_err(|e| ("branch", e))?;
    if c.name.is_empty() || c.name.chars().count() > 64 || c.name.chars().any(char::is_control) {
        return Err(("name", "must have 1 to 64 printable characters"));
    }
    check_id_number(&c.id_number).map_err(|e| ("id_number", e))?;
    check_card_number(&c.card_number).map_err(|e| ("card_number", e))?;
    check_phone(&c.phone).map_err(|e| ("phone", e))?;
    check_device_serial(&c.device_serial).map_err(|e| ("device_serial", e))?;
    check_track(&c.track).map_err(|e| ("track", e))
}

/// Checks an identifier such as a tenant, branch or customer id.
///
/// # Errors
/// The reason, in words.
pub fn check_label(text: &str) -> Result<(), &'static str> {
    let ok = (1..=32).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if ok {
        Ok(())
    } else {
        Err("must be 1 to 32 ASCII letters, digits or `-`")
    }
}

/// Checks a resident identity number: 17 digits and a check character, a real birth date.
/// Source: GB 11643-1999, section 4 (ISO 7064 MOD 11-2).
///
/// # Errors
/// The reason, in words.
pub fn check_id_number(text: &str) -> Result<(), &'static str> {
    let bytes: &[u8; 18] = text
        .as_bytes()
        .try_into()
        .map_err(|_| "identity number must have 18 characters")?;
    let (body, check) = bytes.split_at(17);
    if !body.iter().all(u8::is_ascii_digit) {
        return Err("identity number must be 17 digits and a check character");
    }
    let number = |range: std::ops::Range<usize>| {
        body[range]
            .iter()
            .fold(0u32, |n, d| n * 10 + u32::from(d - b'0'))
    };
    let (year, month, day) = (number(6..10), number(10..12), number(12..14));
    if !(1900..=2099).contains(&year) || day == 0 || day > days_in_month(year, month) {
        return Err("identity number has no real birth date");
    }
    if check != [id_check_character(body)] {
        return Err("identity number has a wrong check character");
    }
    Ok(())
}

fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 0,
    }
}

/// The check character of 17 digits.
fn id_check_character(digits: &[u8]) -> u8 {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let sum: u32 = digits
        .iter()
        .zip(WEIGHTS)
        .map(|(d, w)| u32::from(d - b'0') * w)
        .sum();
    b"10X98765432"[(sum % 11) as usize]
}

/// Checks a bank card number. Source: ISO/IEC 7812-1 annex B.
///
/// # Errors
/// The reason, in words.
pub fn check_card_number(text: &str) -> Result<(), &'static str> {
    if !(16..=19).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err("card number must have 16 to 19 digits");
    }
    let (body, check) = text.as_bytes().split_at(text.len() - 1);
    if check == [luhn_digit(body)] {
        Ok(())
    } else {
        Err("card number has a wrong check digit")
    }
}

/// The Luhn digit that completes `digits`.
fn luhn_digit(digits: &[u8]) -> u8 {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, d)| {
            let d = u32::from(d - b'0');
            if i % 2 == 0 {
                d * 2 / 10 + d * 2 % 10
            } else {
                d
            }
        })
        .sum();
    b'0' + ((10 - sum % 10) % 10) as u8
}

/// Checks a mainland mobile number.
///
/// # Errors
/// The reason, in words.
pub fn check_phone(text: &str) -> Result<(), &'static str> {
    let b = text.as_bytes();
    let ok = b.len() == 11
        && b.iter().all(u8::is_ascii_digit)
        && b[0] == b'1'
        && (b'3'..=b'9').contains(&b[1]);
    if ok {
        Ok(())
    } else {
        Err("phone must have 11 digits and begin with 13 to 19")
    }
}

/// Checks a device serial number.
///
/// # Errors
/// The reason, in words.
pub fn check_device_serial(text: &str) -> Result<(), &'static str> {
    let ok = (6..=40).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-');
    if ok {
        Ok(())
    } else {
        Err("device serial must have 6 to 40 of A-Z, 0-9 and `-`")
    }
}

/// Checks a track: at least one point, each within the globe.
///
/// # Errors
/// The reason, in words.
pub fn check_track(text: &str) -> Result<(), &'static str> {
    if text.len() > MAX_TRACK_BYTES {
        return Err("track is longer than 64 KiB");
    }
    for point in text.split(';') {
        let mut parts = point.split(' ');
        let (Some(lon), Some(lat), Some(at), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("a track point must be `longitude latitude unix-seconds`");
        };
        let degrees = |t: &str, most: f64| t.parse::<f64>().is_ok_and(|d| d.abs() <= most);
        if !degrees(lon, 180.0) || !degrees(lat, 90.0) || at.parse::<u32>().is_err() {
            return Err("a track point lies outside the globe or has no Unix time");
        }
    }
    Ok(())
}

/// Writes customers as CSV with the header.
///
/// # Errors
/// The writer's.
pub fn write_customers(customers: &[Customer], writer: impl Write) -> std::io::Result<()> {
    let mut csv = csv::Writer::from_writer(writer);
    for customer in customers {
        csv.serialize(customer).map_err(std::io::Error::other)?;
    }
    csv.flush()
}

/// Rows of the sample file `data/customers.csv`.
pub const SAMPLE_ROWS: usize = 1000;
/// Seed of the sample file.
pub const SAMPLE_SEED: u64 = 20_261_101;

/// Makes `rows` customers of two tenants from a seed: the same seed gives the same file.
///
/// The numbers are well-formed but belong to nobody: identity numbers use the unassigned region
/// prefix 99, cards the unassigned issuer prefix 629999.
#[must_use]
pub fn generate_customers(rows: usize, seed: u64) -> Vec<Customer> {
    let mut rng = SplitMix64(seed);
    (0..rows)
        .map(|row| generate_customer(row, &mut rng))
        .collect()
}

const SURNAMES: [&str; 16] = [
    "王", "李", "张", "刘", "陈", "杨", "赵", "黄", "周", "吴", "徐", "孙", "欧阳", "司马", "上官",
    "诸葛",
];
const GIVEN_NAMES: [&str; 20] = [
    "伟", "芳", "娜", "敏", "静", "丽", "强", "磊", "军", "洋", "子涵", "雨桐", "浩然", "欣怡",
    "梓萱", "建国", "志强", "秀英", "明轩", "思远",
];
/// Tenants of the sample data, each with its branches and a city centre (longitude, latitude).
const TENANTS: [(&str, [&str; 2], (f64, f64)); 2] = [
    (
        "jiangnan-bank",
        ["suzhou-01", "hangzhou-02"],
        (120.62, 31.30),
    ),
    ("beihai-bank", ["beihai-01", "nanning-02"], (109.12, 21.48)),
];

fn generate_customer(row: usize, rng: &mut SplitMix64) -> Customer {
    let (tenant, branches, (lon, lat)) = TENANTS[row % TENANTS.len()];
    let year = 1950 + rng.below(56);
    let month = 1 + rng.below(12);
    let day = 1 + rng.below(u64::from(days_in_month(year as u32, month as u32)));
    let body = format!(
        "99{:04}{year:04}{month:02}{day:02}{:03}",
        101 + rng.below(28) * 100,
        rng.below(1000)
    );
    let id_number = format!("{body}{}", char::from(id_check_character(body.as_bytes())));
    // 19 digits for debit cards, 16 for credit cards, as UnionPay issues them.
    let account_digits = if rng.below(4) == 0 { 9 } else { 12 };
    let account = rng.below(10u64.pow(account_digits));
    let card = format!("629999{account:0width$}", width = account_digits as usize);
    let card_number = format!("{card}{}", char::from(luhn_digit(card.as_bytes())));
    let start = 1_764_000_000 + rng.below(86_400 * 30);
    let track: Vec<String> = (0..3 + rng.below(6))
        .map(|i| {
            let drift = |rng: &mut SplitMix64| (rng.below(20_001) as f64 - 10_000.0) / 1e6;
            format!(
                "{:.6} {:.6} {}",
                lon + drift(rng) * 10.0,
                lat + drift(rng) * 10.0,
                start + i * 30
            )
        })
        .collect();
    Customer {
        customer_id: format!("C{:06}", row + 1),
        tenant_id: tenant.to_owned(),
        branch: branches[rng.below(2) as usize].to_owned(),
        name: format!(
            "{}{}",
            SURNAMES[rng.below(SURNAMES.len() as u64) as usize],
            GIVEN_NAMES[rng.below(GIVEN_NAMES.len() as u64) as usize]
        ),
        id_number,
        card_number,
        phone: format!("1{}{:09}", 3 + rng.below(7), rng.below(1_000_000_000)),
        device_serial: format!("SN-{:04X}-{:08X}", rng.below(1 << 16), rng.below(1 << 32)),
        track: track.join(";"),
    }
}

/// Steele, Lea and Flood's SplitMix64: repeatable sample data, never a secret.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound` (the tiny modulo bias does not matter for sample data).
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_check_digits() {
        // The worked example of GB 11643-1999, annex A, and the Luhn example of ISO/IEC 7812-1.
        assert_eq!(check_id_number("11010519491231002X"), Ok(()));
        assert!(
            check_id_number("440524188001010014").is_err(),
            "1880 is out of range"
        );
        assert_eq!(luhn_digit(b"7992739871"), b'3');
        assert!(check_id_number("110105194912310021").is_err());
        assert!(
            check_id_number("11010519490231002X").is_err(),
            "30 February and later"
        );
        assert!(check_card_number("6299990000000000").is_err());
    }

    #[test]
    fn generated_rows_pass_their_own_checks() {
        let customers = generate_customers(500, 7);
        let mut bytes = Vec::new();
        write_customers(&customers, &mut bytes).unwrap();
        let back = parse_customers("generated", bytes.as_slice()).unwrap();
        assert!(back == customers);
        assert!(
            generate_customers(500, 7) == customers,
            "same seed, same rows"
        );
        assert!(generate_customers(500, 8) != customers);
    }

    #[test]
    fn the_sample_file_is_what_the_generator_makes() {
        let mut bytes = Vec::new();
        write_customers(&generate_customers(SAMPLE_ROWS, SAMPLE_SEED), &mut bytes).unwrap();
        assert!(bytes == include_bytes!("../data/customers.csv"));
    }

    #[test]
    fn errors_name_line_and_column_and_no_value() {
        let mut customers = generate_customers(3, 1);
        customers[1].card_number = "6299991234567890".to_owned();
        customers[1].card_number.replace_range(15.., "x");
        let mut bytes = Vec::new();
        write_customers(&customers, &mut bytes).unwrap();
        let message = parse_customers("c.csv", bytes.as_slice())
            .err()
            .unwrap()
            .to_string();
        assert_eq!(
            message,
            "c.csv:3: column `card_number`: card number must have 16 to 19 digits"
        );
    }

    #[test]
    fn malformed_files_are_refused_with_a_place() {
        let header = COLUMNS.join(",");
        for (text, expected) in [
            (String::new(), "c.csv:1: header is"),
            (header.clone() + "\n", "c.csv:1: no customer rows"),
            (header.clone() + "\na,b\n", "c.csv:2: 2 columns, expected 9"),
            ("a,b\n1,2\n".to_owned(), "c.csv:1: header is `a,b`"),
        ] {
            let message = parse_customers("c.csv", text.as_bytes())
                .err()
                .unwrap()
                .to_string();
            assert!(message.starts_with(expected), "{message}");
        }
        let mut rows = generate_customers(2, 1);
        rows[1].customer_id = rows[0].customer_id.clone();
        let mut bytes = Vec::new();
        write_customers(&rows, &mut bytes).unwrap();
        let message = parse_customers("c.csv", bytes.as_slice())
            .err()
            .unwrap()
            .to_string();
        assert!(message.contains("stands twice"), "{message}");
        let invalid = [header.as_bytes(), b"\na,b,c,\xff,e,f,g,h,i\n"].concat();
        let message = parse_customers("c.csv", invalid.as_slice())
            .err()
            .unwrap()
            .to_string();
        assert!(message.contains("not UTF-8"), "{message}");
    }
}
