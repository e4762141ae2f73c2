//! The arithmetic beside RustCrypto's `sm2`, on every backend.

use proptest::prelude::*;
use sm2::elliptic_curve::PrimeField;
use sm2::elliptic_curve::group::Group;
use sm2::elliptic_curve::sec1::ToSec1Point;
use subtle::ConditionallySelectable;

use crate::cpu::Backend;
use crate::sm2::comb::mul_base;
use crate::sm2::field::{Fe, FieldKernel, Portable};
use crate::sm2::limbs;
use crate::sm2::mul::{mul, mul_double_vartime};
use crate::sm2::point::{Affine, Point, x_matches};
use crate::sm2::prepared::{self, Prepared, TableSize};
use crate::sm2::scalar::{N, Scalar};
use crate::sm2::select::{PortableSelect, Registers, Selector};
use crate::sm2::windows::Entry;
use crate::sm2::xyzz::Xyzz;

fn peer_scalar(scalar: &Scalar) -> sm2::Scalar {
    sm2::Scalar::from_repr(scalar.to_bytes().into()).unwrap()
}

/// `04 || x || y`, or nothing for infinity.
fn peer_bytes(point: sm2::ProjectivePoint) -> Vec<u8> {
    match bool::from(point.is_identity()) {
        true => Vec::new(),
        false => point.to_affine().to_sec1_point(false).as_bytes().to_vec(),
    }
}

fn bytes(point: Point) -> Vec<u8> {
    point
        .to_affine()
        .map_or(Vec::new(), |affine| affine.to_sec1().to_vec())
}

/// 0, 1, 2, n - 1, n - 2, powers of two, each digit of each window's width alone.
fn edge_scalars() -> Vec<Scalar> {
    let mut scalars = vec![Scalar::ZERO];
    let mut power = Scalar::ONE;
    for _ in 0..256 {
        scalars.extend([
            power,
            power.neg(),
            power.add(&Scalar::ONE),
            power.sub(&Scalar::ONE),
        ]);
        power = power.add(&power);
    }
    // Where the last window of seven bits has the same point as the sum before it, and what is near that.
    let step = Scalar::reduce(&{
        let mut bytes = [0; 32];
        bytes[0] = 0x10;
        bytes
    });
    let mut multiple = Scalar::ZERO;
    for _ in 0..40 {
        multiple = multiple.add(&step);
        scalars.extend([multiple, multiple.neg()]);
    }
    scalars
}

fn scalars() -> impl Strategy<Value = Scalar> {
    any::<[u8; 32]>().prop_map(|bytes| Scalar::reduce(&bytes))
}

#[test]
fn multiples_of_edge_scalars_are_those_of_the_peer() {
    let g = sm2::ProjectivePoint::GENERATOR;
    for backend in Backend::available() {
        println!("backend: {backend}");
        for k in edge_scalars() {
            let want = peer_bytes(g * peer_scalar(&k));
            assert_eq!(bytes(mul_base(backend, &k)), want, "{k:?}");
            assert_eq!(bytes(mul(backend, &Affine::GENERATOR, &k)), want, "{k:?}");
        }
    }
}

#[test]
fn double_multiples_of_every_table_are_those_of_the_peer() {
    let edges = edge_scalars();
    for backend in Backend::available() {
        println!("backend: {backend}");
        let g = Affine::GENERATOR;
        let twice = Point::from(g).double().to_affine().unwrap();
        let other = mul_base(backend, &Scalar::reduce(&[0xa5; 32]))
            .to_affine()
            .unwrap();
        for point in [g, g.neg(), twice, other] {
            let tables: Vec<_> = [TableSize::Small, TableSize::Medium, TableSize::Large]
                .into_iter()
                .map(|size| Prepared::new(backend, &point, size))
                .collect();
            let peer = sm2::PublicKey::from_sec1_bytes(&point.to_sec1())
                .unwrap()
                .to_projective();
            let pairs = edges.iter().step_by(7).zip(edges.iter().rev().step_by(11));
            let few = edges
                .iter()
                .take(6)
                .flat_map(|s| edges.iter().take(6).map(move |t| (s, t)));
            for (s, t) in pairs.chain(few) {
                let want = peer_bytes(
                    sm2::ProjectivePoint::GENERATOR * peer_scalar(s) + peer * peer_scalar(t),
                );
                assert_eq!(bytes(mul_double_vartime(backend, s, t, &point)), want);
                for table in &tables {
                    let sum = prepared::mul_double_vartime(backend, s, t, table);
                    assert_eq!(bytes(sum), want);
                    if let Some(affine) = sum.to_affine() {
                        assert!(x_matches(&sum, &Scalar::reduce(&affine.x.to_bytes())));
                    }
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn scalars_calculate_as_the_peer_does(a in scalars(), b in scalars()) {
        let (pa, pb) = (peer_scalar(&a), peer_scalar(&b));
        prop_assert_eq!(peer_scalar(&a.add(&b)), pa + pb);
        prop_assert_eq!(peer_scalar(&a.sub(&b)), pa - pb);
        prop_assert_eq!(peer_scalar(&a.mul(&b)), pa * pb);
        prop_assert_eq!(peer_scalar(&a.square()), pa.square());
        prop_assert_eq!(peer_scalar(&a.invert()), pa.invert().unwrap());
    }

    #[test]
    fn multiples_are_those_of_the_peer(s in scalars(), t in scalars(), p in scalars()) {
        let g = sm2::ProjectivePoint::GENERATOR;
        for backend in Backend::available() {
            let public = mul_base(backend, &p);
            let peer = g * peer_scalar(&p);
            prop_assert_eq!(bytes(public), peer_bytes(peer));
            let public = public.to_affine().unwrap();
            prop_assert_eq!(bytes(mul(backend, &public, &s)), peer_bytes(peer * peer_scalar(&s)));
            let want = peer_bytes(g * peer_scalar(&s) + peer * peer_scalar(&t));
            prop_assert_eq!(bytes(mul_double_vartime(backend, &s, &t, &public)), want);
            let decoded = Affine::from_sec1(&public.to_sec1_compressed()).unwrap();
            prop_assert_eq!(decoded.to_sec1(), public.to_sec1());
        }
    }
}

/// p, big-endian.
const P_BYTES: [u8; 32] = {
    let mut p = [0xff; 32];
    (p[3], p[20], p[21], p[22], p[23]) = (0xfe, 0, 0, 0, 0);
    p
};

/// p less a little, all-ones limbs and limbs that carry in the reduction.
fn edge_numbers() -> Vec<[u8; 32]> {
    let words = [
        0,
        1,
        2,
        1 << 32,
        (1 << 32) - 1,
        u64::MAX << 32,
        u64::MAX,
        u64::MAX - 1,
    ];
    let mut numbers = vec![[0xff; 32], P_BYTES];
    for a in words {
        for b in words {
            numbers.push(limbs::to_be_bytes(&[a, b, a, b & 0xffff_fffe_ffff_ffff]));
            numbers.push(limbs::to_be_bytes(&[a, a, b, b & 0xffff_fffe_ffff_ffff]));
        }
        let mut near = limbs::from_be_bytes(&P_BYTES);
        near = limbs::sub(&near, &[a, 0, 0, 0]).0;
        numbers.push(limbs::to_be_bytes(&near));
        numbers.push(limbs::to_be_bytes(&limbs::sub(&N, &[a, 0, 0, 0]).0));
    }
    numbers
}

/// `a * b` modulo p, bit by bit. (The peer keeps its field to itself.)
fn product_by_bits(a: &limbs::Limbs, b: &limbs::Limbs) -> limbs::Limbs {
    let p = limbs::from_be_bytes(&P_BYTES);
    let mut product = [0; 4];
    for i in (0..256).rev() {
        product = limbs::add_mod(&product, &product, &p);
        if (b[i / 64] >> (i % 64)) & 1 == 1 {
            product = limbs::add_mod(&product, a, &p);
        }
    }
    product
}

fn field_calculates_as_bits_do<K: FieldKernel>(k: K, a: &[u8; 32], b: &[u8; 32]) {
    let (la, lb) = (limbs::from_be_bytes(a), limbs::from_be_bytes(b));
    let p = limbs::from_be_bytes(&P_BYTES);
    let (ea, eb) = (Fe::from_bytes(a), Fe::from_bytes(b));
    assert_eq!(ea.is_some(), *a < P_BYTES);
    assert_eq!(eb.is_some(), *b < P_BYTES);
    let (Some(a), Some(b)) = (ea, eb) else {
        return;
    };
    assert_eq!(a.to_canonical(), la);
    assert_eq!(k.mul(&a, &b).to_canonical(), product_by_bits(&la, &lb));
    assert_eq!(k.square(&a).to_canonical(), product_by_bits(&la, &la));
    // Sums as numbers of 256 bits and a carry.
    let sum = a.add(&b).to_canonical();
    let (wide, carry) = limbs::add(&la, &lb);
    assert!(sum == wide && carry == 0 || limbs::add(&sum, &p) == (wide, carry));
    assert_eq!(a.sub(&b).add(&b), a);
    assert_eq!(a.neg().add(&a), Fe::ZERO);
    // The raw limbs too: Montgomery forms near p are what the carries depend on.
    let number = a.to_canonical();
    let raw = Fe::from_montgomery(number);
    assert_eq!(k.mul(&raw, &b), Portable.mul(&raw, &b));
    assert_eq!(k.square(&raw), k.mul(&raw, &raw));
    for (a, b) in [(raw, b), (b, raw), (raw, raw)] {
        assert_eq!(k.add(&a, &b), Portable.add(&a, &b));
        assert_eq!(k.sub(&a, &b), Portable.sub(&a, &b));
        assert_eq!(k.half(&a).double(), a);
        assert_eq!(k.half(&a), Portable.half(&a));
        assert_eq!(k.negate_if(&a, 0), a);
        if a != Fe::ZERO {
            assert_eq!(k.negate_if(&a, u64::MAX), a.neg());
        }
    }
}

#[test]
fn fields_calculate_as_bits_do_at_the_edges() {
    let numbers = edge_numbers();
    for backend in Backend::available() {
        println!("backend: {backend}");
        for a in &numbers {
            for b in &numbers {
                match backend.adx() {
                    Some(adx) => field_calculates_as_bits_do(adx, a, b),
                    None => field_calculates_as_bits_do(Portable, a, b),
                }
            }
            if let Some(a) = Fe::from_bytes(a) {
                let unit = Fe::conditional_select(&Fe::ONE, &Fe::ZERO, a.is_zero());
                assert_eq!(a.invert().mul(&a), unit);
                let square = a.square();
                let root = square.sqrt().unwrap();
                assert!(root == a || root == a.neg());
                // -1 is no square, as p is 3 modulo 4.
                assert_eq!(square.neg().sqrt().is_none(), !bool::from(a.is_zero()));
            }
        }
    }
}

/// `x^exponent`, by the peer of division steps: Fermat's little theorem, exponent two less than the modulus.
fn power<T: Copy>(x: T, one: T, modulus: &limbs::Limbs, mul: impl Fn(&T, &T) -> T) -> T {
    let exponent = limbs::sub(modulus, &[2, 0, 0, 0]).0;
    (0..256).rev().fold(one, |power, i| {
        let square = mul(&power, &power);
        match (exponent[i / 64] >> (i % 64)) & 1 {
            1 => mul(&square, &x),
            _ => square,
        }
    })
}

fn inverses_are_those_of_fermat(number: &[u8; 32]) {
    if let Some(x) = Fe::from_bytes(number) {
        let p = limbs::from_be_bytes(&P_BYTES);
        assert_eq!(x.invert(), power(x, Fe::ONE, &p, Fe::mul));
    }
    let x = Scalar::reduce(number);
    let want = power(x, Scalar::ONE, &N, Scalar::mul);
    assert_eq!(x.invert().to_bytes(), want.to_bytes());
}

#[test]
fn inverses_at_the_edges_are_those_of_fermat() {
    for number in edge_numbers() {
        inverses_are_those_of_fermat(&number);
    }
    for scalar in edge_scalars() {
        inverses_are_those_of_fermat(&scalar.to_bytes());
    }
    for n in 0..=255 {
        let mut number = [0; 32];
        number[31] = n;
        inverses_are_those_of_fermat(&number);
    }
}

#[test]
fn numbers_from_n_up_are_no_scalars() {
    for number in edge_numbers() {
        let below = limbs::sub(&limbs::from_be_bytes(&number), &N).1 == 1;
        assert_eq!(Scalar::from_bytes(&number).is_some(), below);
        let reduced = Scalar::reduce(&number);
        let (sum, _) = limbs::add(reduced.limbs(), &N);
        let same = *reduced.limbs() == limbs::from_be_bytes(&number);
        assert!(same == below && (same || limbs::to_be_bytes(&sum) == number));
    }
}

#[test]
fn inverting_many_is_inverting_each() {
    let mut many = edge_scalars();
    let want: Vec<_> = many
        .iter()
        .map(|scalar| scalar.invert().to_bytes())
        .collect();
    Scalar::invert_many(&mut many);
    let got: Vec<_> = many.iter().map(|scalar| scalar.to_bytes()).collect();
    assert_eq!(got, want);
    Scalar::invert_many(&mut []);
}

#[test]
fn any_two_points_can_be_added() {
    let g = Point::from(Affine::GENERATOR);
    let double = g.double();
    let more = [
        Point::IDENTITY,
        g,
        g.neg(),
        double,
        double.neg(),
        double.add(&g),
    ];
    let multiples = [0i64, 1, -1, 2, -2, 3];
    let of = |n: i64| {
        let magnitude = Scalar::reduce(&limbs::to_be_bytes(&[n.unsigned_abs(), 0, 0, 0]));
        let scalar = if n < 0 { magnitude.neg() } else { magnitude };
        peer_bytes(sm2::ProjectivePoint::GENERATOR * peer_scalar(&scalar))
    };
    for (a, m) in more.iter().zip(multiples) {
        for (b, n) in more.iter().zip(multiples) {
            assert_eq!(bytes(a.add(b)), of(m + n));
            assert_eq!(bytes(a.add_vartime(Portable, b)), of(m + n));
            if let Some(affine) = b.to_affine() {
                let a = Xyzz::from_point(Portable, a);
                let mut sum = a;
                sum.add_vartime(Portable, &affine);
                assert_eq!(bytes(sum.to_point(Portable)), of(m + n));
                // Once more, with a ZZ that is neither 0 nor 1.
                sum.add_vartime(Portable, &affine);
                assert_eq!(bytes(sum.to_point(Portable)), of(m + 2 * n));
                let x = sum.to_point(Portable).to_affine().map(|point| point.x);
                assert_eq!(sum.affine_x(), x);
                sum.double(Portable);
                assert_eq!(bytes(sum.to_point(Portable)), of(2 * m + 4 * n));
                if m != 0 && m != n {
                    let mut sum = a;
                    sum.add_distinct(Portable, &affine);
                    assert_eq!(bytes(sum.to_point(Portable)), of(m + n));
                }
            }
        }
    }
    let affine = Point::to_affine_many(&more);
    assert!(Point::to_affine_many(&[]).is_empty());
    for (point, affine) in more.iter().zip(affine) {
        assert_eq!(
            bytes(*point),
            affine.map_or(Vec::new(), |a| a.to_sec1().to_vec())
        );
    }
}

#[test]
fn x_from_n_up_matches_its_scalar() {
    // The first points whose x is n or more: no random test meets one.
    let mut x = N;
    let mut found = 0;
    while found < 8 {
        let mut sec1 = [0x02; 33];
        sec1[1..].copy_from_slice(&limbs::to_be_bytes(&x));
        if let Some(affine) = Affine::from_sec1(&sec1) {
            found += 1;
            let v = Scalar::reduce(&limbs::to_be_bytes(&x));
            // Z = 1, and another Z: 2P - P.
            let point = Point::from(affine);
            let again = point.double().add(&point.neg());
            assert!(again.to_affine().unwrap().to_sec1() == affine.to_sec1());
            for point in [point, again] {
                assert!(x_matches(&point, &v));
                assert!(!x_matches(&point, &v.add(&Scalar::ONE)));
                assert!(!x_matches(&point, &v.neg()));
            }
        }
        x = limbs::add(&x, &[1, 0, 0, 0]).0;
    }
    assert!(!x_matches(&Point::IDENTITY, &Scalar::ZERO));
    assert!(!x_matches(&Point::IDENTITY, &Scalar::ONE));
}

#[test]
fn what_is_no_point_is_refused() {
    let good = Affine::GENERATOR.to_sec1();
    assert!(Affine::from_sec1(&good).is_some());
    assert!(Affine::from_sec1(&[]).is_none());
    assert!(Affine::from_sec1(&[0]).is_none());
    assert!(Affine::from_sec1(&good[..64]).is_none());
    assert!(Affine::from_sec1(&[&good[..], &[0]].concat()).is_none());
    for tag in [0x00, 0x02, 0x03, 0x05, 0x06, 0x07] {
        let mut bad = good;
        bad[0] = tag;
        assert!(Affine::from_sec1(&bad).is_none());
    }
    for at in 1..65 {
        let mut bad = good;
        bad[at] ^= 1;
        assert!(Affine::from_sec1(&bad).is_none());
    }
    // x = 0 + p: on the curve, but not written in its one way.
    let mut over = [0x02; 33];
    over[1..].copy_from_slice(&P_BYTES);
    assert!(Affine::from_sec1(&over).is_none());
}

#[test]
fn every_selector_finds_every_entry() {
    let table: Vec<_> = (0..64u64)
        .map(|i| Entry {
            x: [i, !i, i << 40, 7],
            y: [i + 1, u64::MAX, !i << 9, i],
        })
        .collect();
    for backend in Backend::available() {
        for (index, want) in (0..).zip(&table) {
            let entry = match Registers::of(backend) {
                Registers::General => PortableSelect.select(&table, index),
                Registers::Avx2(avx2) => avx2.select(&table, index),
                Registers::Avx512(avx512) => avx512.select(&table, index),
            };
            assert_eq!((entry.x, entry.y), (want.x, want.y));
        }
    }
}

proptest! {
    #[test]
    fn inverses_of_any_number_are_those_of_fermat(number in any::<[u8; 32]>()) {
        inverses_are_those_of_fermat(&number);
    }

    #[test]
    fn fields_calculate_as_bits_do(a in any::<[u8; 32]>(), b in any::<[u8; 32]>()) {
        field_calculates_as_bits_do(Portable, &a, &b);
        for adx in Backend::available().filter_map(Backend::adx) {
            field_calculates_as_bits_do(adx, &a, &b);
        }
    }
}
