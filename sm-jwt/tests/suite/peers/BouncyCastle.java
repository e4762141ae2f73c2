// BouncyCastle as a peer of the tests: SM2 by its JCA provider (DER) and by its own classes (raw r ‖ s).
//
//   java -cp /usr/share/java/bcprov.jar BouncyCastle.java
//
// Commands come line by line; mod.rs beside this file says which.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.Signature;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;
import org.bouncycastle.crypto.CipherParameters;
import org.bouncycastle.crypto.Digest;
import org.bouncycastle.crypto.digests.SHA256Digest;
import org.bouncycastle.crypto.digests.SM3Digest;
import org.bouncycastle.crypto.params.ParametersWithID;
import org.bouncycastle.crypto.signers.PlainDSAEncoding;
import org.bouncycastle.crypto.signers.SM2Signer;
import org.bouncycastle.crypto.util.PrivateKeyFactory;
import org.bouncycastle.crypto.util.PublicKeyFactory;
import org.bouncycastle.jcajce.spec.SM2ParameterSpec;
import org.bouncycastle.jce.interfaces.ECPrivateKey;
import org.bouncycastle.jce.interfaces.ECPublicKey;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.util.encoders.Hex;
import org.bouncycastle.util.io.pem.PemObject;
import org.bouncycastle.util.io.pem.PemReader;
import org.bouncycastle.util.io.pem.PemWriter;

public class BouncyCastle {
    static final BouncyCastleProvider PROVIDER = new BouncyCastleProvider();

    public static void main(String[] args) throws Exception {
        BufferedReader in =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.US_ASCII);
        for (String line; (line = in.readLine()) != null; ) {
            String answer;
            try {
                answer = "ok " + answer(line.split(" "));
            } catch (Exception e) {
                answer = "error " + e.toString().replace('\n', ' ');
            }
            out.println(answer);
        }
    }

    static String answer(String[] words) throws Exception {
        switch (words[0]) {
            case "version":
                return PROVIDER.getInfo() + " on Java " + System.getProperty("java.version");
            case "generate": {
                KeyPairGenerator generator = KeyPairGenerator.getInstance("EC", PROVIDER);
                generator.initialize(new ECGenParameterSpec("sm2p256v1"));
                KeyPair pair = generator.generateKeyPair();
                return pem("PRIVATE KEY", pair.getPrivate().getEncoded())
                        + " " + pem("PUBLIC KEY", pair.getPublic().getEncoded());
            }
            case "private": {
                ECPrivateKey key = (ECPrivateKey) privateKey(words[1]);
                BigInteger d = key.getD();
                return Hex.toHexString(key.getParameters().getG().multiply(d).getEncoded(false));
            }
            case "public":
                return Hex.toHexString(((ECPublicKey) publicKey(words[1])).getQ().getEncoded(false));
            case "sign": {
                byte[] message = bytes(words[5]);
                return Hex.toHexString(words[2].equals("der")
                        ? signDer(words[1], bytes(words[3]), privateKey(words[4]), message)
                        : signRaw(words[1], bytes(words[3]), privateKey(words[4]), message));
            }
            case "verify": {
                byte[] message = bytes(words[5]);
                byte[] signature = bytes(words[6]);
                boolean holds = words[2].equals("der")
                        ? verifyDer(words[1], bytes(words[3]), publicKey(words[4]), message, signature)
                        : verifyRaw(words[1], bytes(words[3]), publicKey(words[4]), message, signature);
                return holds ? "yes" : "no";
            }
            default:
                throw new IllegalArgumentException("no command " + words[0]);
        }
    }

    static byte[] signDer(String hash, byte[] userId, PrivateKey key, byte[] message) throws Exception {
        Signature signer = signature(hash, userId);
        signer.initSign(key);
        signer.update(message);
        return signer.sign();
    }

    static boolean verifyDer(
            String hash, byte[] userId, PublicKey key, byte[] message, byte[] signature) throws Exception {
        Signature verifier = signature(hash, userId);
        verifier.initVerify(key);
        verifier.update(message);
        try {
            return verifier.verify(signature);
        } catch (GeneralSecurityException malformed) {
            return false;
        }
    }

    static Signature signature(String hash, byte[] userId) throws Exception {
        Signature signature =
                Signature.getInstance(hash.equals("sm3") ? "SM3withSM2" : "SHA256withSM2", PROVIDER);
        signature.setParameter(new SM2ParameterSpec(userId));
        return signature;
    }

    static byte[] signRaw(String hash, byte[] userId, PrivateKey key, byte[] message) throws Exception {
        SM2Signer signer = new SM2Signer(PlainDSAEncoding.INSTANCE, digest(hash));
        CipherParameters parameters = PrivateKeyFactory.createKey(key.getEncoded());
        signer.init(true, new ParametersWithID(parameters, userId));
        signer.update(message, 0, message.length);
        return signer.generateSignature();
    }

    static boolean verifyRaw(
            String hash, byte[] userId, PublicKey key, byte[] message, byte[] signature) throws Exception {
        SM2Signer verifier = new SM2Signer(PlainDSAEncoding.INSTANCE, digest(hash));
        CipherParameters parameters = PublicKeyFactory.createKey(key.getEncoded());
        verifier.init(false, new ParametersWithID(parameters, userId));
        verifier.update(message, 0, message.length);
        return verifier.verifySignature(signature);
    }

    static Digest digest(String hash) {
        return hash.equals("sm3") ? new SM3Digest() : new SHA256Digest();
    }

    static PrivateKey privateKey(String word) throws Exception {
        byte[] der = contents(word, "PRIVATE KEY");
        return KeyFactory.getInstance("EC", PROVIDER).generatePrivate(new PKCS8EncodedKeySpec(der));
    }

    static PublicKey publicKey(String word) throws Exception {
        byte[] der = contents(word, "PUBLIC KEY");
        return KeyFactory.getInstance("EC", PROVIDER).generatePublic(new X509EncodedKeySpec(der));
    }

    static byte[] contents(String word, String label) throws Exception {
        String text = new String(bytes(word), StandardCharsets.US_ASCII);
        PemObject object = new PemReader(new StringReader(text)).readPemObject();
        if (object == null || !object.getType().equals(label)) {
            throw new IllegalArgumentException("no PEM block " + label);
        }
        return object.getContent();
    }

    static String pem(String label, byte[] der) throws Exception {
        StringWriter text = new StringWriter();
        try (PemWriter writer = new PemWriter(text)) {
            writer.writeObject(new PemObject(label, der));
        }
        return Hex.toHexString(text.toString().getBytes(StandardCharsets.US_ASCII));
    }

    static byte[] bytes(String word) {
        return word.equals("-") ? new byte[0] : Hex.decode(word);
    }
}
