//! The file format once more, written for the tests alone: takes segments apart and puts them
//! together with good checksums, as somebody with a disk editor would.

#[derive(Clone, Debug)]
pub struct Piece {
    pub kind: u8,
    pub batch: u64,
    pub payload: Vec<u8>,
}

pub fn pieces(bytes: &[u8], segment: u64) -> Vec<Piece> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        assert_eq!(&bytes[at..at + 4], b"\xf5SM\xfe");
        let length = u32::from_be_bytes(bytes[at + 13..at + 17].try_into().unwrap()) as usize;
        let piece = Piece {
            kind: bytes[at + 4],
            batch: u64::from_be_bytes(bytes[at + 5..at + 13].try_into().unwrap()),
            payload: bytes[at + 17..at + 17 + length].to_vec(),
        };
        let again = rebuild_at(&piece, segment, at);
        assert_eq!(again, bytes[at..at + again.len()]);
        at += again.len();
        out.push(piece);
    }
    out
}

pub fn rebuild(pieces: &[Piece], segment: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in pieces {
        let bytes = rebuild_at(piece, segment, out.len());
        out.extend_from_slice(&bytes);
    }
    out
}

fn rebuild_at(piece: &Piece, segment: u64, at: usize) -> Vec<u8> {
    let mut out = b"\xf5SM\xfe".to_vec();
    out.push(piece.kind);
    out.extend_from_slice(&piece.batch.to_be_bytes());
    out.extend_from_slice(&(piece.payload.len() as u32).to_be_bytes());
    out.extend_from_slice(&piece.payload);
    let mut crc = crc32fast::Hasher::new();
    crc.update(&segment.to_be_bytes());
    crc.update(&(at as u64).to_be_bytes());
    crc.update(&out);
    out.extend_from_slice(&crc.finalize().to_be_bytes());
    out
}
