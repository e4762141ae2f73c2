/* SM3 (GB/T 32905) and HMAC over it, plainly. */
#include <stdint.h>
#include <string.h>

typedef struct {
    uint32_t v[8];
    uint8_t block[64];
    uint64_t length;
} sm3_state;

static uint32_t rol(uint32_t x, unsigned n) {
    n &= 31;
    return n ? (x << n) | (x >> (32 - n)) : x;
}

static void sm3_block(sm3_state *s, const uint8_t *block) {
    uint32_t w[68], a[8];
    for (int j = 0; j < 16; j++)
        w[j] = (uint32_t)block[4 * j] << 24 | (uint32_t)block[4 * j + 1] << 16 | (uint32_t)block[4 * j + 2] << 8 |
               block[4 * j + 3];
    for (int j = 16; j < 68; j++) {
        uint32_t x = w[j - 16] ^ w[j - 9] ^ rol(w[j - 3], 15);
        w[j] = (x ^ rol(x, 15) ^ rol(x, 23)) ^ rol(w[j - 13], 7) ^ w[j - 6];
    }
    memcpy(a, s->v, sizeof a);
    for (int j = 0; j < 64; j++) {
        uint32_t t = j < 16 ? 0x79cc4519 : 0x7a879d8a;
        uint32_t ss1 = rol(rol(a[0], 12) + a[4] + rol(t, (unsigned)j), 7), ss2 = ss1 ^ rol(a[0], 12);
        uint32_t ff = j < 16 ? a[0] ^ a[1] ^ a[2] : (a[0] & a[1]) | (a[0] & a[2]) | (a[1] & a[2]);
        uint32_t gg = j < 16 ? a[4] ^ a[5] ^ a[6] : (a[4] & a[5]) | (~a[4] & a[6]);
        uint32_t tt1 = ff + a[3] + ss2 + (w[j] ^ w[j + 4]), tt2 = gg + a[7] + ss1 + w[j];
        a[3] = a[2];
        a[2] = rol(a[1], 9);
        a[1] = a[0];
        a[0] = tt1;
        a[7] = a[6];
        a[6] = rol(a[5], 19);
        a[5] = a[4];
        a[4] = tt2 ^ rol(tt2, 9) ^ rol(tt2, 17);
    }
    for (int j = 0; j < 8; j++) s->v[j] ^= a[j];
}

static void sm3_init(sm3_state *s) {
    static const uint32_t iv[8] = {0x7380166f, 0x4914b2b9, 0x172442d7, 0xda8a0600,
                                   0xa96f30bc, 0x163138aa, 0xe38dee4d, 0xb0fb0e4e};
    memcpy(s->v, iv, sizeof iv);
    s->length = 0;
}

static void sm3_update(sm3_state *s, const uint8_t *data, size_t n) {
    for (size_t i = 0; i < n; i++) {
        s->block[s->length++ % 64] = data[i];
        if (s->length % 64 == 0) sm3_block(s, s->block);
    }
}

static void sm3_final(sm3_state *s, uint8_t out[32]) {
    static const uint8_t pad[64] = {0x80};
    uint64_t bits = s->length * 8;
    uint8_t end[8];
    sm3_update(s, pad, 1 + (119 - s->length % 64) % 64);
    for (int i = 0; i < 8; i++) end[i] = (uint8_t)(bits >> (56 - 8 * i));
    sm3_update(s, end, 8);
    for (int i = 0; i < 32; i++) out[i] = (uint8_t)(s->v[i / 4] >> (24 - 8 * (i % 4)));
}

/* Keys of at most 64 bytes. */
typedef struct {
    sm3_state inner;
    uint8_t outer_pad[64];
} hmac_state;

static void hmac_init(hmac_state *h, const uint8_t *key, size_t n) {
    uint8_t pad[64];
    for (size_t i = 0; i < 64; i++) {
        uint8_t k = i < n ? key[i] : 0;
        pad[i] = k ^ 0x36;
        h->outer_pad[i] = k ^ 0x5c;
    }
    sm3_init(&h->inner);
    sm3_update(&h->inner, pad, 64);
}

static void hmac_final(hmac_state *h, uint8_t out[32]) {
    sm3_state outer;
    sm3_final(&h->inner, out);
    sm3_init(&outer);
    sm3_update(&outer, h->outer_pad, 64);
    sm3_update(&outer, out, 32);
    sm3_final(&outer, out);
}
