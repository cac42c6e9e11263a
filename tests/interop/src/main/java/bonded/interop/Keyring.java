package bonded.interop;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.util.Base64;
import java.util.HexFormat;
import java.util.Map;
import javax.crypto.Cipher;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import org.apache.iceberg.encryption.KeyManagementClient;

/**
 * Bonded's embedded keyring as an Iceberg KMS client, written from the file format and not from our Rust code.
 *
 * <p>It only unwraps: this program reads. A key that does not open is an exception, never a default.
 */
final class Keyring implements KeyManagementClient {
  /** What is wrong with the keys on purpose. */
  enum Fault {
    /** Nothing: the keys as they are. */
    NONE,
    /** Another root key: the keyring itself must refuse. */
    ROOT,
    /** The KMS answers with a key that is not the table's: Iceberg's own code must refuse. */
    TABLE
  }

  private static final int NONCE_BYTES = 12;
  private static final int TAG_BITS = 128;
  private static final int KEY_BYTES = 32;

  private final byte[] root;
  private final transient JsonNode keys;
  private final Fault fault;

  private Keyring(byte[] root, JsonNode keys, Fault fault) {
    this.root = root;
    this.keys = keys;
    this.fault = fault;
  }

  static Keyring open(Path folder, Fault fault) throws IOException {
    JsonNode file = new ObjectMapper().readTree(folder.resolve("keyring.json").toFile());
    if (file.path("format").asInt() != 1) {
      throw new IOException("keyring format " + file.path("format") + " is not known, only 1");
    }
    String kind = file.path("root").path("kind").asText();
    if (!kind.equals("keyfile")) {
      throw new IOException("the keyring's root is `" + kind + "`; this program opens `keyfile` only");
    }
    byte[] root = HexFormat.of().parseHex(Files.readString(folder.resolve("root.key")).strip());
    if (root.length != KEY_BYTES) {
      throw new IOException("root.key must be 64 hex characters");
    }
    if (fault == Fault.ROOT) {
      root = random();
    }
    return new Keyring(root, file.path("keys"), fault);
  }

  @Override
  public void initialize(Map<String, String> properties) {}

  @Override
  public ByteBuffer wrapKey(ByteBuffer key, String wrappingKeyId) {
    throw new UnsupportedOperationException("this program only reads");
  }

  /** A table key's wrap: version (u32, big endian), nonce, ciphertext, tag. Table keys carry no encryption context. */
  @Override
  public ByteBuffer unwrapKey(ByteBuffer wrapped, String wrappingKeyId) {
    ByteBuffer blob = wrapped.duplicate();
    int version = blob.getInt();
    byte[] sealed = new byte[blob.remaining()];
    blob.get(sealed);
    JsonNode key = key(wrappingKeyId);
    String tenant = key.path("tenant").asText();
    byte[] kek = kek(key, wrappingKeyId, tenant, version);
    byte[] opened = open(kek, sealed, fields("bonded-keyring-v1", tenant, wrappingKeyId, Integer.toString(version)));
    return ByteBuffer.wrap(fault == Fault.TABLE ? random(opened.length) : opened);
  }

  private JsonNode key(String keyId) {
    for (JsonNode key : keys) {
      if (key.path("key_id").asText().equals(keyId)) {
        if (!key.path("state").asText().equals("enabled")) {
          throw new IllegalStateException("key " + keyId + " is " + key.path("state").asText());
        }
        return key;
      }
    }
    throw new IllegalStateException("the keyring has no key " + keyId);
  }

  private byte[] kek(JsonNode key, String keyId, String tenant, int version) {
    for (JsonNode entry : key.path("versions")) {
      if (entry.path("version").asInt() == version) {
        byte[] wrapped = Base64.getDecoder().decode(entry.path("wrapped").asText());
        return open(root, wrapped, fields("bonded-keyring-root-v1", tenant, keyId, Integer.toString(version)));
      }
    }
    throw new IllegalStateException("key " + keyId + " has no version " + version);
  }

  private static byte[] open(byte[] key, byte[] sealed, byte[] aad) {
    try {
      Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
      GCMParameterSpec nonce = new GCMParameterSpec(TAG_BITS, sealed, 0, NONCE_BYTES);
      cipher.init(Cipher.DECRYPT_MODE, new SecretKeySpec(key, "AES"), nonce);
      cipher.updateAAD(aad);
      return cipher.doFinal(sealed, NONCE_BYTES, sealed.length - NONCE_BYTES);
    } catch (GeneralSecurityException error) {
      throw new IllegalStateException("the key does not open this wrap", error);
    }
  }

  /** Each field as its length (u32, big endian) and its UTF-8 bytes, so that no two lists of fields collide. */
  static byte[] fields(String... values) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (DataOutputStream data = new DataOutputStream(out)) {
      for (String value : values) {
        byte[] bytes = value.getBytes(StandardCharsets.UTF_8);
        data.writeInt(bytes.length);
        data.write(bytes);
      }
    } catch (IOException error) {
      throw new IllegalStateException("writing to memory failed", error);
    }
    return out.toByteArray();
  }

  private static byte[] random() {
    return random(KEY_BYTES);
  }

  private static byte[] random(int length) {
    byte[] bytes = new byte[length];
    new SecureRandom().nextBytes(bytes);
    return bytes;
  }
}
