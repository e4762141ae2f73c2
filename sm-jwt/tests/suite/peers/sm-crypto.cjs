// npm's sm-crypto as a peer of the tests. Keys are bare hexadecimal: a scalar, an uncompressed point.
//
//   node sm-crypto.cjs FOLDER        where FOLDER/node_modules/sm-crypto is
//
// Commands come line by line; mod.rs beside this file says which.
'use strict'

const path = require('node:path')
const readline = require('node:readline')

const home = path.join(path.resolve(process.argv[2]), 'node_modules', 'sm-crypto')
const { sm2 } = require(home)

const bytes = (word) => Buffer.from(word === '-' ? '' : word, 'hex')

// The package encodes a user id as UTF-8 text, and takes what is undefined for the default one.
const options = (hash, form, userId) => {
  if (hash !== 'sm3') throw new Error(`no hash ${hash}`)
  return { hash: true, der: form === 'der', userId: bytes(userId).toString('utf8') }
}

const commands = {
  version: () => `sm-crypto ${require(path.join(home, 'package.json')).version} on Node ${process.versions.node}`,
  generate: () => {
    const pair = sm2.generateKeyPairHex()
    return `${pair.privateKey} ${pair.publicKey}`
  },
  private: (key) => sm2.getPublicKeyFromPrivateKey(key),
  public: (key) => {
    if (!sm2.verifyPublicKey(key)) throw new Error('not a point of the curve')
    return key
  },
  sign: (hash, form, userId, key, message) =>
    sm2.doSignature(bytes(message), key, options(hash, form, userId)),
  verify: (hash, form, userId, key, message, signature) =>
    sm2.doVerifySignature(bytes(message), bytes(signature).toString('hex'), key, options(hash, form, userId))
      ? 'yes'
      : 'no',
  // Without `hash`, what is given is e itself.
  'sign-digest': (key, digest) => sm2.doSignature(bytes(digest), key, { hash: false }),
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const [name, ...words] = line.split(' ')
  let answer
  try {
    if (!Object.hasOwn(commands, name)) throw new Error(`no command ${name}`)
    answer = `ok ${commands[name](...words)}`
  } catch (error) {
    answer = `error ${String(error).replaceAll('\n', ' ')}`
  }
  process.stdout.write(`${answer}\n`)
})
