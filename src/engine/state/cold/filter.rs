//! A Bloom filter over hashes, twelve bits for each key, all of a key's bits in one cache line: about one absent key of a hundred
//! passes. Hashes that come in order go through the lines in order.

/// See the module.
pub(super) struct Filter {
    lines: Vec<[u64; 8]>,
}

impl Filter {
    const BITS_PER_KEY: u64 = 12;
    const PROBES: u32 = 6;

    pub(super) fn for_keys(keys: u64) -> Self {
        let lines = usize::try_from(keys.saturating_mul(Self::BITS_PER_KEY).div_ceil(512)).unwrap_or(usize::MAX).max(1);
        Self { lines: vec![[0; 8]; lines] }
    }

    /// The line of a hash among so many, and its bits there as (word, mask).
    fn place(lines: usize, hash: u64) -> (usize, impl Iterator<Item = (usize, u64)>) {
        let line = ((u128::from(hash) * lines as u128) >> 64) as usize;
        // The line took the high bits; nine others give each bit.
        let bits = (0..Self::PROBES).map(move |probe| {
            let bit = (hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (probe * 9)) & 511;
            ((bit >> 6) as usize, 1 << (bit & 63))
        });
        (line, bits)
    }

    pub(super) fn insert(&mut self, hash: u64) {
        let (line, bits) = Self::place(self.lines.len(), hash);
        for (word, mask) in bits {
            self.lines[line][word] |= mask;
        }
    }

    pub(super) fn may_contain(&self, hash: u64) -> bool {
        let (line, mut bits) = Self::place(self.lines.len(), hash);
        bits.all(|(word, mask)| self.lines[line][word] & mask != 0)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.lines.len() as u64 * 64
    }
}
