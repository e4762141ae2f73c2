// BouncyCastle as a peer of the tests.
//
//   java -cp /usr/share/java/bcprov.jar BouncyCastle.java
//
// Commands come line by line; every one has an answer line. All but MODE is hexadecimal; `-` stands for no bytes.
//
//   encrypt MODE KEY IV TEXT     the ciphertext, as ShardingSphere's SM4 encryptor calls for it: SM4/CBC/PKCS7Padding ...
//   ff1 RADIX KEY TWEAK TEXT     FF1 with SM4; RADIX is decimal, TEXT and answer are numerals, one a byte

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import javax.crypto.Cipher;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import org.bouncycastle.crypto.engines.SM4Engine;
import org.bouncycastle.crypto.fpe.FPEFF1Engine;
import org.bouncycastle.crypto.params.FPEParameters;
import org.bouncycastle.crypto.params.KeyParameter;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.util.encoders.Hex;

public class BouncyCastle {
    static final BouncyCastleProvider PROVIDER = new BouncyCastleProvider();

    public static void main(String[] args) throws Exception {
        BufferedReader in =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        for (String line; (line = in.readLine()) != null; ) {
            System.out.println(answer(line.split(" ")));
        }
    }

    static String answer(String[] words) throws Exception {
        switch (words[0]) {
            case "encrypt":
                return encrypt(words[1], bytes(words[2]), bytes(words[3]), bytes(words[4]));
            case "ff1":
                return ff1(
                        Integer.parseInt(words[1]), bytes(words[2]), bytes(words[3]), bytes(words[4]));
            default:
                throw new IllegalArgumentException("no command " + words[0]);
        }
    }

    static byte[] bytes(String word) {
        return word.equals("-") ? new byte[0] : Hex.decode(word);
    }

    static String encrypt(String mode, byte[] key, byte[] iv, byte[] text) throws Exception {
        Cipher cipher = Cipher.getInstance(mode, PROVIDER);
        SecretKeySpec sm4 = new SecretKeySpec(key, "SM4");
        if (iv.length == 0) {
            cipher.init(Cipher.ENCRYPT_MODE, sm4);
        } else {
            cipher.init(Cipher.ENCRYPT_MODE, sm4, new IvParameterSpec(iv));
        }
        return Hex.toHexString(cipher.doFinal(text));
    }

    static String ff1(int radix, byte[] key, byte[] tweak, byte[] text) {
        FPEFF1Engine engine = new FPEFF1Engine(new SM4Engine());
        engine.init(true, new FPEParameters(new KeyParameter(key), radix, tweak));
        byte[] encrypted = new byte[text.length];
        engine.processBlock(text, 0, text.length, encrypted, 0);
        return Hex.toHexString(encrypted);
    }
}
