//! Owns what is compressed: which way it is, seen by its first bytes, and how it becomes plain. A file of several members
//! is all of them; what follows the last one and is no member is overlooked, as gzip and tar do.

use std::io::{self, BufRead, ErrorKind, Read};

use bzip2::bufread::BzDecoder;
use flate2::bufread::GzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};

/// What a decoder may keep in memory, in KiB: `xz -9` takes 65 MiB, `zstd --ultra -22` 128 MiB.
const MAX_MEMORY_KIB: u32 = 192 << 10;
/// The longest window of zstd for which its decoder keeps within that: it takes the next power of two.
const MAX_WINDOW_BYTES: u64 = 128 << 20;
const _: () = assert!(MAX_WINDOW_BYTES < (MAX_MEMORY_KIB as u64) << 10);

const GZIP: &[u8] = &[0x1f, 0x8b];
const BZIP2: &[u8] = b"BZh";
pub(crate) const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// A frame of zstd that holds nothing; before it stands one byte of sixteen.
const SKIPPED: (std::ops::RangeInclusive<u8>, &[u8]) = (0x50..=0x5f, &[0x2a, 0x4d, 0x18]);

/// Whether a file, or what is left of it, may begin with `magic`.
fn agrees(found: &[u8], magic: &[u8]) -> bool {
    let length = found.len().min(magic.len());
    magic[..length] == found[..length]
}

fn is_gzip(found: &[u8]) -> bool {
    agrees(found, GZIP)
}

fn is_bzip2(found: &[u8]) -> bool {
    agrees(found, BZIP2)
}

fn is_zstd(found: &[u8]) -> bool {
    let (first, rest) = SKIPPED;
    let is_skipped = found.split_first();
    let is_skipped =
        is_skipped.is_some_and(|(one, more)| first.contains(one) && agrees(more, rest));
    agrees(found, ZSTD) || is_skipped
}

/// What `from` holds, uncompressed.
pub(crate) fn plain<'a, R: BufRead + 'a>(mut from: R) -> io::Result<Box<dyn Read + 'a>> {
    // A buffer that was just made holds more than the longest of these, or all there is.
    let first = from.fill_buf()?;
    Ok(if first.is_empty() {
        Box::new(from)
    } else if is_gzip(first) {
        Box::new(gzip(from))
    } else if is_bzip2(first) {
        Box::new(Members::new(from, is_bzip2, |from| {
            Ok(Some(Decoder::Bzip2(BzDecoder::new(from))))
        }))
    } else if agrees(first, XZ) {
        Box::new(XzReader::new_mem_limit(from, true, MAX_MEMORY_KIB))
    } else if is_zstd(first) {
        Box::new(Members::new(from, is_zstd, Decoder::zstd))
    } else {
        Box::new(from)
    })
}

/// A file that is compressed with gzip, if it is anything.
pub(crate) fn gzip<R: BufRead>(from: R) -> impl Read {
    Members::new(from, is_gzip, |from| {
        Ok(Some(Decoder::Gzip(GzDecoder::new(from))))
    })
}

enum Decoder<R> {
    Gzip(GzDecoder<R>),
    Bzip2(BzDecoder<R>),
    Zstd(Box<FrameDecoder>, R),
}

impl<R: BufRead> Decoder<R> {
    /// `None`: there is nothing more.
    fn zstd(mut from: R) -> io::Result<Option<Self>> {
        let mut decoder = Box::new(FrameDecoder::new());
        decoder.set_max_window_size(MAX_WINDOW_BYTES);
        loop {
            if from.fill_buf()?.is_empty() {
                return Ok(None);
            }
            match decoder.init(&mut from) {
                Ok(()) => return Ok(Some(Self::Zstd(decoder, from))),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    io::copy(&mut from.by_ref().take(length.into()), &mut io::sink())?;
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }

    /// What follows it; an error if what it had was not what was compressed.
    fn end(self) -> io::Result<R> {
        match self {
            Self::Gzip(decoder) => Ok(decoder.into_inner()),
            Self::Bzip2(decoder) => Ok(decoder.into_inner()),
            Self::Zstd(decoder, from) => {
                let told = decoder.get_checksum_from_data();
                if told.is_some() && told != decoder.get_calculated_checksum() {
                    return Err(io::Error::other("its checksum does not match"));
                }
                Ok(from)
            }
        }
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(decoder) => decoder.read(into),
            Self::Bzip2(decoder) => decoder.read(into),
            Self::Zstd(decoder, from) => {
                while decoder.can_collect() == 0 && !decoder.is_finished() {
                    let one = BlockDecodingStrategy::UptoBlocks(1);
                    let decoded = decoder.decode_blocks(&mut *from, one);
                    decoded.map_err(io::Error::other)?;
                }
                decoder.read(into)
            }
        }
    }
}

/// One after the other.
struct Members<R> {
    now: Option<Decoder<R>>,
    /// The first, before anything was read.
    waiting: Option<R>,
    is_member: fn(&[u8]) -> bool,
    begin: fn(R) -> io::Result<Option<Decoder<R>>>,
}

impl<R: BufRead> Members<R> {
    fn new(
        from: R,
        is_member: fn(&[u8]) -> bool,
        begin: fn(R) -> io::Result<Option<Decoder<R>>>,
    ) -> Self {
        Self {
            now: None,
            waiting: Some(from),
            is_member,
            begin,
        }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if let Some(first) = self.waiting.take() {
            self.now = (self.begin)(first)?;
        }
        loop {
            let Some(decoder) = &mut self.now else {
                return Ok(0);
            };
            let count = match decoder.read(into) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                count => count?,
            };
            if count > 0 || into.is_empty() {
                return Ok(count);
            }
            let Some(ended) = self.now.take() else {
                return Ok(0);
            };
            let mut rest = ended.end()?;
            let next = rest.fill_buf()?;
            if !next.is_empty() && (self.is_member)(next) {
                self.now = (self.begin)(rest)?;
            }
        }
    }
}
