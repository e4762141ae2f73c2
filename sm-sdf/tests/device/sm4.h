/* SM4 (GB/T 32907), plainly: the S-box is worked out from its definition. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static uint8_t sm4_sbox[256];

static uint8_t gf_mul(uint8_t a, uint8_t b) {
    unsigned x = a, r = 0;
    for (; b; b >>= 1, x <<= 1) {
        if (x & 0x100) x ^= 0x1f5;
        if (b & 1) r ^= x;
    }
    return (uint8_t)r;
}

static uint8_t sm4_affine(uint8_t x) {
    uint8_t r = 0;
    for (int i = 0; i < 8; i++) {
        uint8_t row = (uint8_t)(0xa7 << i | 0xa7 >> (8 - i));
        r |= (uint8_t)((__builtin_popcount(row & x) & 1) << i);
    }
    return r ^ 0xd3;
}

__attribute__((constructor)) static void sm4_make_sbox(void) {
    for (int x = 0; x < 256; x++) {
        uint8_t a = sm4_affine((uint8_t)x), inverse = a;
        for (int i = 0; i < 253; i++) inverse = gf_mul(inverse, a); /* a to the 254th */
        sm4_sbox[x] = sm4_affine(inverse);
    }
}

static uint32_t sm4_tau(uint32_t x) {
    return (uint32_t)sm4_sbox[x >> 24] << 24 | (uint32_t)sm4_sbox[x >> 16 & 255] << 16 |
           (uint32_t)sm4_sbox[x >> 8 & 255] << 8 | sm4_sbox[x & 255];
}

static uint32_t rotate(uint32_t x, int n) { return x << n | x >> (32 - n); }

static uint32_t word(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void sm4_keys(const uint8_t key[16], uint32_t rk[32]) {
    static const uint32_t fk[4] = {0xa3b1bac6, 0x56aa3350, 0x677d9197, 0xb27022dc};
    uint32_t k[36];
    for (int i = 0; i < 4; i++) k[i] = word(key + 4 * i) ^ fk[i];
    for (int i = 0; i < 32; i++) {
        uint32_t ck = 0;
        for (int j = 0; j < 4; j++) ck = ck << 8 | ((uint32_t)(4 * i + j) * 7 & 255);
        uint32_t t = sm4_tau(k[i + 1] ^ k[i + 2] ^ k[i + 3] ^ ck);
        rk[i] = k[i + 4] = k[i] ^ t ^ rotate(t, 13) ^ rotate(t, 23);
    }
}

static void sm4_crypt(const uint8_t key[16], const uint8_t in[16], uint8_t out[16], int decrypt) {
    uint32_t rk[32], x[36];
    sm4_keys(key, rk);
    for (int i = 0; i < 4; i++) x[i] = word(in + 4 * i);
    for (int i = 0; i < 32; i++) {
        uint32_t t = sm4_tau(x[i + 1] ^ x[i + 2] ^ x[i + 3] ^ rk[decrypt ? 31 - i : i]);
        x[i + 4] = x[i] ^ t ^ rotate(t, 2) ^ rotate(t, 10) ^ rotate(t, 18) ^ rotate(t, 24);
    }
    for (int i = 0; i < 16; i++) out[i] = (uint8_t)(x[35 - i / 4] >> (24 - 8 * (i % 4)));
}

static void sm4_cbc(const uint8_t key[16], const uint8_t iv[16], const uint8_t *in, size_t n, uint8_t *out, int decrypt) {
    uint8_t chain[16], block[16], next[16];
    memcpy(chain, iv, 16);
    for (size_t at = 0; at < n; at += 16) {
        if (decrypt) {
            memcpy(next, in + at, 16);
            sm4_crypt(key, in + at, block, 1);
            for (int i = 0; i < 16; i++) out[at + i] = block[i] ^ chain[i];
            memcpy(chain, next, 16);
        } else {
            for (int i = 0; i < 16; i++) block[i] = in[at + i] ^ chain[i];
            sm4_crypt(key, block, chain, 0);
            memcpy(out + at, chain, 16);
        }
    }
}

static void ghash_block(uint8_t y[16], const uint8_t h[16], const uint8_t *data, size_t n) {
    uint8_t z[16] = {0}, v[16];
    for (size_t i = 0; i < n; i++) y[i] ^= data[i];
    memcpy(v, h, 16);
    for (int bit = 0; bit < 128; bit++) {
        if (y[bit / 8] >> (7 - bit % 8) & 1)
            for (int i = 0; i < 16; i++) z[i] ^= v[i];
        int low = v[15] & 1;
        for (int i = 15; i > 0; i--) v[i] = (uint8_t)(v[i] >> 1 | v[i - 1] << 7);
        v[0] = (uint8_t)(v[0] >> 1 ^ (low ? 0xe1 : 0));
    }
    memcpy(y, z, 16);
}

static void ghash(uint8_t y[16], const uint8_t h[16], const uint8_t *data, size_t n) {
    for (size_t at = 0; at < n; at += 16) ghash_block(y, h, data + at, n - at < 16 ? n - at : 16);
}

static void sm4_gcm(const uint8_t key[16], const uint8_t nonce[12], const uint8_t *aad, size_t aad_n, const uint8_t *in,
                    size_t n, uint8_t *out, uint8_t tag[16], int decrypt) {
    uint8_t h[16] = {0}, y[16] = {0}, counter[16] = {0}, pad[16], lengths[16];
    sm4_crypt(key, h, h, 0);
    memcpy(counter, nonce, 12);
    ghash(y, h, aad, aad_n);
    if (decrypt) ghash(y, h, in, n);
    for (size_t at = 0; at < n; at++) {
        if (at % 16 == 0) {
            uint32_t count = (uint32_t)(at / 16 + 2);
            for (int i = 0; i < 4; i++) counter[12 + i] = (uint8_t)(count >> (24 - 8 * i));
            sm4_crypt(key, counter, pad, 0);
        }
        out[at] = in[at] ^ pad[at % 16];
    }
    if (!decrypt) ghash(y, h, out, n);
    for (int i = 0; i < 8; i++) {
        lengths[i] = (uint8_t)((uint64_t)aad_n * 8 >> (56 - 8 * i));
        lengths[8 + i] = (uint8_t)((uint64_t)n * 8 >> (56 - 8 * i));
    }
    ghash(y, h, lengths, 16);
    memset(counter + 12, 0, 3);
    counter[15] = 1;
    sm4_crypt(key, counter, pad, 0);
    for (int i = 0; i < 16; i++) tag[i] = y[i] ^ pad[i];
}
