/*
 * A cryptographic device of GM/T 0018 in software, for tests: real SM4 and SM3, KEKs in numbered slots, and a will of the
 * tests' own. Handles are numbers that are never used twice, so that a closed one is recognised.
 *
 *   -DEDITION_2012    without the calls of the 2023 edition
 *   -DTAG_BY_VALUE    SDF_AuthDec takes the tag's length by value
 *   -DWITHOUT_RANDOM  without a call that every device has
 *   -DSM4_BASE=0x2000 a vendor's ids for SM4
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/random.h>

#include "sm3.h"
#include "sm4.h"

#ifndef SM4_BASE
#define SM4_BASE 0x400u
#endif
enum { SDR_OK = 0, BASE = 0x01000000 };
enum {
    NOTSUPPORT = BASE + 0x02,
    COMMFAIL = BASE + 0x03,
    OPENSESSION = BASE + 0x06,
    KEYNOTEXIST = BASE + 0x08,
    ALGNOTSUPPORT = BASE + 0x09,
    STEPERR = BASE + 0x10,
    KEYERR = BASE + 0x15,
    PRKRERR = BASE + 0x18,
    MACERR = BASE + 0x19,
    INARGERR = BASE + 0x1d,
};
#define KEKS 8u
#define OBJECTS 8192

typedef void *HANDLE;
typedef unsigned int ULONG;
typedef unsigned char BYTE;
typedef struct {
    char issuer[40], name[16], serial[16];
    ULONG device_version, standard_version, asymmetric[2], symmetric, hash, buffer;
} DEVICEINFO;

enum kind { NONE, DEVICE, SESSION, KEY };
typedef struct {
    enum kind kind;
    size_t owner;    /* a session's device, a key's session */
    int lost, busy;
    sm3_state hash;
    hmac_state hmac;
    int step;        /* of a calculation: 1 hash, 2 HMAC */
    ULONG right;     /* private key that may be used */
    BYTE key[32];
    ULONG key_length;
} object;

static object objects[OBJECTS];
static size_t used = 1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* What tests set and read by name. */
static struct setting { const char *name; ULONG value; } settings[] = {
    {"seed", 1},       /* which device this is */
    {"devices", 0},    /* open now */
    {"sessions", 0},
    {"keys", 0},
    {"rights", 0},
    {"opened_devices", 0}, /* ever */
    {"opened_sessions", 0},
    {"imports", 0},
    {"misuse", 0},     /* calls with a handle that is not open */
    {"overlaps", 0},   /* two calls in one session at once */
    {"at_once", 0},    /* most calls at once */
    {"running", 0},
    {"max_sessions", OBJECTS},
    {"lose_after", 0}, /* calls until all sessions are lost */
    {"lose_all_after", 0}, /* the same for the device */
    {"singleton", 0},  /* one handle for everybody who opens the device */
    {"zero_random", 0},
    {"edits_iv", 0},   /* writes to the IV it is given */
    {0, 0},
};

static ULONG *setting(const char *name) {
    for (struct setting *s = settings; s->name; s++)
        if (!strcmp(s->name, name)) return &s->value;
    abort();
}

/* Faults of one call: a code, a length, bytes written too far, no handle. */
static struct fault { char call[40]; ULONG code, times; int has_length; ULONG length, overrun; int no_handle; } fault;

void test_set(const char *name, ULONG value) {
    pthread_mutex_lock(&lock);
    *setting(name) = value;
    pthread_mutex_unlock(&lock);
}

ULONG test_get(const char *name) {
    pthread_mutex_lock(&lock);
    ULONG value = *setting(name);
    pthread_mutex_unlock(&lock);
    return value;
}

static void lose(enum kind kind) {
    for (size_t i = 1; i < used; i++)
        if (objects[i].kind == kind || (kind == DEVICE && objects[i].kind == SESSION)) objects[i].lost = 1;
}

void test_lose(ULONG what) { /* 1 device, 2 sessions, 3 keys */
    pthread_mutex_lock(&lock);
    lose((enum kind)what);
    pthread_mutex_unlock(&lock);
}

void test_fault(const char *call, ULONG code, ULONG times, int has_length, ULONG length, ULONG overrun, int no_handle) {
    pthread_mutex_lock(&lock);
    memset(&fault, 0, sizeof fault);
    strncpy(fault.call, call, sizeof fault.call - 1);
    fault.code = code;
    fault.times = times;
    fault.has_length = has_length;
    fault.length = length;
    fault.overrun = overrun;
    fault.no_handle = no_handle;
    pthread_mutex_unlock(&lock);
}

static int failing(const char *call) {
    if (strcmp(fault.call, call) || !fault.code || !fault.times) return 0;
    fault.times--;
    return (int)fault.code;
}

static void answer_length(const char *call, BYTE *out, ULONG *length, ULONG right) {
    *length = right;
    if (strcmp(fault.call, call)) return;
    if (fault.has_length) *length = fault.length;
    for (ULONG i = 0; out && i < fault.overrun; i++) out[right + i] = (BYTE)i;
}

static object *get(HANDLE handle, enum kind kind) {
    size_t i = (size_t)handle;
    if (i == 0 || i >= used || objects[i].kind != kind) {
        ++*setting("misuse");
        return 0;
    }
    return &objects[i];
}

static HANDLE add(enum kind kind, size_t owner, const char *call) {
    if (used >= OBJECTS) abort();
    if (!strcmp(fault.call, call) && fault.no_handle) return 0;
    memset(&objects[used], 0, sizeof(object));
    objects[used].kind = kind;
    objects[used].owner = owner;
    ++*setting(kind == DEVICE ? "devices" : kind == SESSION ? "sessions" : "keys");
    return (HANDLE)used++;
}

static void count_down(void) {
    ULONG *sessions = setting("lose_after"), *all = setting("lose_all_after");
    if (*sessions && --*sessions == 0) lose(SESSION);
    if (*all && --*all == 0) lose(DEVICE);
}

/* Enters a call on a session and takes it for this thread. */
static int enter(const char *call, HANDLE handle, object **session) {
    pthread_mutex_lock(&lock);
    object *s = get(handle, SESSION);
    int code = s ? 0 : INARGERR;
    if (!code) {
        count_down();
        code = s->lost ? COMMFAIL : failing(call);
    }
    if (!code) {
        if (s->busy++) ++*setting("overlaps");
        ULONG now = ++*setting("running"), *most = setting("at_once");
        if (now > *most) *most = now;
        *session = s;
    }
    pthread_mutex_unlock(&lock);
    if (!code) sched_yield();
    return code;
}

static int leave(object *session, int code) {
    pthread_mutex_lock(&lock);
    session->busy--;
    --*setting("running");
    pthread_mutex_unlock(&lock);
    return code;
}

static object *key_of(object *session, HANDLE handle) {
    pthread_mutex_lock(&lock);
    object *key = get(handle, KEY);
    if (key && (&objects[key->owner] != session || key->lost)) key = 0;
    pthread_mutex_unlock(&lock);
    return key;
}

int SDF_OpenDevice(HANDLE *device) {
    pthread_mutex_lock(&lock);
    int code = failing("SDF_OpenDevice");
    if (!code) {
        ++*setting("opened_devices");
        *device = 0;
        for (size_t i = 1; *setting("singleton") && i < used; i++)
            if (objects[i].kind == DEVICE && !objects[i].lost) *device = (HANDLE)i;
        if (!*device) *device = add(DEVICE, 0, "SDF_OpenDevice");
    }
    pthread_mutex_unlock(&lock);
    return code;
}

int SDF_CloseDevice(HANDLE device) {
    pthread_mutex_lock(&lock);
    object *d = get(device, DEVICE);
    if (d) {
        for (size_t i = 1; i < used; i++)
            if (objects[i].kind == SESSION && objects[i].owner == (size_t)device) ++*setting("misuse");
        d->kind = NONE;
        --*setting("devices");
    }
    pthread_mutex_unlock(&lock);
    return d ? SDR_OK : INARGERR;
}

int SDF_OpenSession(HANDLE device, HANDLE *session) {
    pthread_mutex_lock(&lock);
    object *d = get(device, DEVICE);
    int code = d ? d->lost ? COMMFAIL : failing("SDF_OpenSession") : INARGERR;
    if (!code && *setting("sessions") >= *setting("max_sessions")) code = OPENSESSION;
    if (!code) {
        ++*setting("opened_sessions");
        *session = add(SESSION, (size_t)device, "SDF_OpenSession");
    }
    pthread_mutex_unlock(&lock);
    return code;
}

int SDF_CloseSession(HANDLE session) {
    pthread_mutex_lock(&lock);
    object *s = get(session, SESSION);
    if (s) {
        for (size_t i = 1; i < used; i++) /* keys left behind go with it, and are counted as a leak */
            if (objects[i].kind == KEY && objects[i].owner == (size_t)session) ++*setting("misuse");
        s->kind = NONE;
        --*setting("sessions");
    }
    pthread_mutex_unlock(&lock);
    return s ? SDR_OK : INARGERR;
}

int SDF_GetDeviceInfo(HANDLE session, DEVICEINFO *info) {
    object *s;
    int code = enter("SDF_GetDeviceInfo", session, &s);
    if (code) return code;
    memset(info, 0, sizeof *info);
    memcpy(info->issuer, "a device in software for tests, 40 bytes", 40);
    strcpy(info->name, "test");
    strcpy(info->serial, "2026010100100001");
    info->device_version = 7;
    info->standard_version = 2;
    info->symmetric = SM4_BASE | 0x1b;
    info->hash = 1;
    info->buffer = 65536;
    return leave(s, SDR_OK);
}

#ifndef WITHOUT_RANDOM
int SDF_GenerateRandom(HANDLE session, ULONG n, BYTE *out) {
    object *s;
    int code = enter("SDF_GenerateRandom", session, &s);
    if (code) return code;
    memset(out, 0, n);
    ULONG length = n;
    if (!test_get("zero_random"))
        for (ULONG i = 0; i < n; i += 256) (void)!getentropy(out + i, n - i < 256 ? n - i : 256);
    answer_length("SDF_GenerateRandom", out, &length, n);
    return leave(s, SDR_OK);
}
#endif

int SDF_GetPrivateKeyAccessRight(HANDLE session, ULONG index, BYTE *password, ULONG length) {
    object *s;
    int code = enter("SDF_GetPrivateKeyAccessRight", session, &s);
    if (code) return code;
    if (length != 12 || memcmp(password, "key password", 12)) return leave(s, PRKRERR);
    s->right = index;
    pthread_mutex_lock(&lock);
    ++*setting("rights");
    pthread_mutex_unlock(&lock);
    return leave(s, SDR_OK);
}

int SDF_ReleasePrivateKeyAccessRight(HANDLE session, ULONG index) {
    object *s;
    int code = enter("SDF_ReleasePrivateKeyAccessRight", session, &s);
    if (code) return code;
    if (s->right != index) return leave(s, KEYNOTEXIST);
    s->right = 0;
    pthread_mutex_lock(&lock);
    --*setting("rights");
    pthread_mutex_unlock(&lock);
    return leave(s, SDR_OK);
}

static int kek(ULONG index, BYTE key[16]) {
    BYTE name[8] = {'k', 'e', 'k', (BYTE)index}, digest[32];
    ULONG seed = test_get("seed");
    sm3_state hash;
    if (index == 0 || index > KEKS) return KEYNOTEXIST;
    memcpy(name + 4, &seed, 4);
    sm3_init(&hash);
    sm3_update(&hash, name, 8);
    sm3_final(&hash, digest);
    memcpy(key, digest, 16);
    return SDR_OK;
}

static HANDLE add_key(HANDLE session, const BYTE *key, ULONG n, const char *call) {
    pthread_mutex_lock(&lock);
    HANDLE handle = add(KEY, (size_t)session, call);
    if (handle) {
        memcpy(objects[(size_t)handle].key, key, n);
        objects[(size_t)handle].key_length = n;
    }
    pthread_mutex_unlock(&lock);
    return handle;
}

/* ECB: the key's blocks. CBC: IV, then the key and PKCS#7 padding. */
int SDF_GenerateKeyWithKEK(HANDLE session, ULONG bits, ULONG algorithm, ULONG index, BYTE *out, ULONG *length,
                           HANDLE *key) {
    object *s;
    BYTE by[16], fresh[32], padded[48];
    int code = enter("SDF_GenerateKeyWithKEK", session, &s);
    if (code) return code;
    if ((code = kek(index, by))) return leave(s, code);
    if (bits != 128 && bits != 256) return leave(s, INARGERR);
    ULONG n = bits / 8;
    (void)!getentropy(fresh, n);
    if (algorithm == (SM4_BASE | 1)) {
        for (ULONG at = 0; at < n; at += 16) sm4_crypt(by, fresh + at, out + at, 0);
        answer_length("SDF_GenerateKeyWithKEK", out, length, n);
    } else if (algorithm == (SM4_BASE | 2)) {
        (void)!getentropy(out, 16);
        memcpy(padded, fresh, n);
        memset(padded + n, 16, 16);
        sm4_cbc(by, out, padded, n + 16, out + 16, 0);
        answer_length("SDF_GenerateKeyWithKEK", out, length, n + 32);
    } else
        return leave(s, ALGNOTSUPPORT);
    *key = add_key(session, fresh, n, "SDF_GenerateKeyWithKEK");
    return leave(s, SDR_OK);
}

int SDF_ImportKeyWithKEK(HANDLE session, ULONG algorithm, ULONG index, BYTE *wrapped, ULONG length, HANDLE *key) {
    object *s;
    BYTE by[16], plain[48];
    int code = enter("SDF_ImportKeyWithKEK", session, &s);
    if (code) return code;
    if ((code = kek(index, by))) return leave(s, code);
    ULONG n = length;
    if (algorithm == (SM4_BASE | 1)) {
        if (n != 16 && n != 32) return leave(s, INARGERR);
        for (ULONG at = 0; at < n; at += 16) sm4_crypt(by, wrapped + at, plain + at, 1);
    } else if (algorithm == (SM4_BASE | 2)) {
        if (n != 48 && n != 64) return leave(s, INARGERR);
        sm4_cbc(by, wrapped, wrapped + 16, n - 16, plain, 1);
        n -= 32;
        for (int i = 0; i < 16; i++)
            if (plain[n + i] != 16) return leave(s, KEYERR);
    } else
        return leave(s, ALGNOTSUPPORT);
    pthread_mutex_lock(&lock);
    ++*setting("imports");
    pthread_mutex_unlock(&lock);
    *key = add_key(session, plain, n, "SDF_ImportKeyWithKEK");
    return leave(s, SDR_OK);
}

int SDF_DestroyKey(HANDLE session, HANDLE key) {
    pthread_mutex_lock(&lock);
    object *s = get(session, SESSION), *k = get(key, KEY);
    int code = s && k && k->owner == (size_t)session ? SDR_OK : KEYNOTEXIST;
    if (!code) { /* also in a lost session: what is counted is whether the caller lets go */
        k->kind = NONE;
        memset(k->key, 0, 32);
        --*setting("keys");
    }
    pthread_mutex_unlock(&lock);
    return code;
}

static int crypt_blocks(const char *call, HANDLE session, HANDLE key, ULONG algorithm, BYTE *iv, BYTE *in, ULONG n,
                        BYTE *out, ULONG *length, int decrypt) {
    object *s;
    int code = enter(call, session, &s);
    if (code) return code;
    object *k = key_of(s, key);
    if (!k) return leave(s, KEYNOTEXIST);
    if (n == 0 || n % 16 || *length < n) return leave(s, INARGERR);
    if (algorithm == (SM4_BASE | 1))
        for (ULONG at = 0; at < n; at += 16) sm4_crypt(k->key, in + at, out + at, decrypt);
    else if (algorithm == (SM4_BASE | 2))
        sm4_cbc(k->key, iv, in, n, out, decrypt);
    else
        return leave(s, ALGNOTSUPPORT);
    if (iv && test_get("edits_iv")) memcpy(iv, out + n - 16, 16);
    answer_length(call, out, length, n);
    return leave(s, SDR_OK);
}

int SDF_Encrypt(HANDLE session, HANDLE key, ULONG algorithm, BYTE *iv, BYTE *in, ULONG n, BYTE *out, ULONG *length) {
    return crypt_blocks("SDF_Encrypt", session, key, algorithm, iv, in, n, out, length, 0);
}

int SDF_Decrypt(HANDLE session, HANDLE key, ULONG algorithm, BYTE *iv, BYTE *in, ULONG n, BYTE *out, ULONG *length) {
    return crypt_blocks("SDF_Decrypt", session, key, algorithm, iv, in, n, out, length, 1);
}

int SDF_CalculateMAC(HANDLE session, HANDLE key, ULONG algorithm, BYTE *iv, BYTE *in, ULONG n, BYTE *out, ULONG *length) {
    object *s;
    BYTE chain[16];
    int code = enter("SDF_CalculateMAC", session, &s);
    if (code) return code;
    object *k = key_of(s, key);
    if (!k) return leave(s, KEYNOTEXIST);
    if (algorithm != (SM4_BASE | 0x10)) return leave(s, ALGNOTSUPPORT);
    if (n == 0 || n % 16 || *length < 16) return leave(s, INARGERR);
    memcpy(chain, iv, 16);
    for (ULONG at = 0; at < n; at += 16) sm4_cbc(k->key, chain, in + at, 16, chain, 0);
    memcpy(out, chain, 16);
    if (test_get("edits_iv")) memcpy(iv, chain, 16);
    answer_length("SDF_CalculateMAC", out, length, 16);
    return leave(s, SDR_OK);
}

int SDF_HashInit(HANDLE session, ULONG algorithm, void *public_key, BYTE *id, ULONG id_length) {
    object *s;
    int code = enter("SDF_HashInit", session, &s);
    if (code) return code;
    if (algorithm != 1) return leave(s, ALGNOTSUPPORT);
    if (public_key || id || id_length) return leave(s, NOTSUPPORT);
    sm3_init(&s->hash);
    s->step = 1;
    return leave(s, SDR_OK);
}

int SDF_HashUpdate(HANDLE session, BYTE *data, ULONG n) {
    object *s;
    int code = enter("SDF_HashUpdate", session, &s);
    if (code) return code;
    if (s->step != 1) return leave(s, STEPERR);
    sm3_update(&s->hash, data, n);
    return leave(s, SDR_OK);
}

int SDF_HashFinal(HANDLE session, BYTE *out, ULONG *length) {
    object *s;
    int code = enter("SDF_HashFinal", session, &s);
    if (code) return code;
    if (s->step != 1) return leave(s, STEPERR);
    s->step = 0;
    sm3_final(&s->hash, out);
    answer_length("SDF_HashFinal", out, length, 32);
    return leave(s, SDR_OK);
}

#ifndef EDITION_2012
int SDF_AuthEnc(HANDLE session, HANDLE key, ULONG algorithm, BYTE *nonce, ULONG nonce_length, BYTE *aad, ULONG aad_length,
                BYTE *in, ULONG n, BYTE *out, ULONG *length, BYTE *tag, ULONG *tag_length) {
    object *s;
    int code = enter("SDF_AuthEnc", session, &s);
    if (code) return code;
    object *k = key_of(s, key);
    if (!k) return leave(s, KEYNOTEXIST);
    if (algorithm != (0x02000000u | SM4_BASE)) return leave(s, ALGNOTSUPPORT);
    if (nonce_length != 12 || *length < n || *tag_length < 16) return leave(s, INARGERR);
    sm4_gcm(k->key, nonce, aad, aad_length, in, n, out, tag, 0);
    answer_length("SDF_AuthEnc", out, length, n);
    answer_length("SDF_AuthEnc tag", tag, tag_length, 16);
    return leave(s, SDR_OK);
}

int SDF_AuthDec(HANDLE session, HANDLE key, ULONG algorithm, BYTE *nonce, ULONG nonce_length, BYTE *aad, ULONG aad_length,
                BYTE *tag,
#ifdef TAG_BY_VALUE
                ULONG tag_length,
#else
                ULONG *tag_length_at,
#endif
                BYTE *in, ULONG n, BYTE *out, ULONG *length) {
#ifndef TAG_BY_VALUE
    ULONG tag_length = *tag_length_at;
#endif
    object *s;
    BYTE right[16], differs = 0;
    int code = enter("SDF_AuthDec", session, &s);
    if (code) return code;
    object *k = key_of(s, key);
    if (!k) return leave(s, KEYNOTEXIST);
    if (algorithm != (0x02000000u | SM4_BASE)) return leave(s, ALGNOTSUPPORT);
    if (nonce_length != 12 || *length < n || tag_length != 16) return leave(s, INARGERR);
    sm4_gcm(k->key, nonce, aad, aad_length, in, n, out, right, 1);
    for (int i = 0; i < 16; i++) differs |= right[i] ^ tag[i];
    if (differs) {
        memset(out, 0, n);
        return leave(s, MACERR);
    }
    answer_length("SDF_AuthDec", out, length, n);
    return leave(s, SDR_OK);
}

int SDF_HMACInit(HANDLE session, HANDLE key, ULONG algorithm) {
    object *s;
    int code = enter("SDF_HMACInit", session, &s);
    if (code) return code;
    object *k = key_of(s, key);
    if (!k) return leave(s, KEYNOTEXIST);
    if (algorithm != 1) return leave(s, ALGNOTSUPPORT);
    hmac_init(&s->hmac, k->key, k->key_length);
    s->step = 2;
    return leave(s, SDR_OK);
}

int SDF_HMACUpdate(HANDLE session, BYTE *data, ULONG n) {
    object *s;
    int code = enter("SDF_HMACUpdate", session, &s);
    if (code) return code;
    if (s->step != 2) return leave(s, STEPERR);
    sm3_update(&s->hmac.inner, data, n);
    return leave(s, SDR_OK);
}

int SDF_HMACFinal(HANDLE session, BYTE *out, ULONG *length) {
    object *s;
    int code = enter("SDF_HMACFinal", session, &s);
    if (code) return code;
    if (s->step != 2) return leave(s, STEPERR);
    s->step = 0;
    hmac_final(&s->hmac, out);
    answer_length("SDF_HMACFinal", out, length, 32);
    return leave(s, SDR_OK);
}
#endif
