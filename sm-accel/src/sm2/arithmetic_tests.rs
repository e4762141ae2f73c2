//! The arithmetic beside RustCrypto's `sm2`, on every backend.

use proptest::prelude::*;
use sm2::elliptic_curve::PrimeField;
use sm2::elliptic_curve::group::Group;
use sm2::elliptic_curve::sec1::ToSec1Point;

use crate::cpu::Backend;
use crate::sm2::comb::mul_base;
use crate::sm2::mul::{mul, mul_double_vartime};
use crate::sm2::point::{Affine, Point, x_matches};
use crate::sm2::prepared::{self, Prepared, TableSize};
use crate::sm2::scalar::Scalar;

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
