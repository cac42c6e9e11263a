package bonded.interop;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Stream;
import org.apache.iceberg.BaseTable;
import org.apache.iceberg.StaticTableOperations;
import org.apache.iceberg.Table;
import org.apache.iceberg.TableMetadata;
import org.apache.iceberg.TableMetadataParser;
import org.apache.iceberg.encryption.EncryptingFileIO;
import org.apache.iceberg.encryption.EncryptionManager;
import org.apache.iceberg.encryption.EncryptionUtil;
import org.apache.iceberg.encryption.StandardEncryptionManager;

/**
 * A lake on a local disk: one catalog database a tenant, in the schema of Iceberg's own JdbcCatalog.
 *
 * <p>JdbcCatalog itself does not wire encryption in Iceberg 1.11 (Hive's does), so the pointer is read here and the
 * table is put together from Iceberg's parts: metadata parser, encryption manager, encrypting file access.
 */
final class Lake {
  /** Where the catalog says a table is. */
  record Pointer(String tenant, String table, String metadataLocation, String metadataSha256) {}

  private final Path root;

  Lake(Path root) {
    this.root = root;
  }

  List<Pointer> tables() throws IOException, SQLException {
    List<Path> tenants;
    try (Stream<Path> entries = Files.list(root.resolve("tenants"))) {
      tenants = entries.filter(Files::isDirectory).sorted().toList();
    }
    List<Pointer> found = new ArrayList<>();
    for (Path tenant : tenants) {
      Path database = tenant.resolve("control.sqlite");
      if (!Files.exists(database)) {
        throw new IOException("tenant " + tenant.getFileName() + " has no control.sqlite");
      }
      read(tenant.getFileName().toString(), database, found);
    }
    return found;
  }

  private static void read(String tenant, Path database, List<Pointer> found) throws SQLException {
    try (Connection connection = DriverManager.getConnection("jdbc:sqlite:file:" + database + "?mode=ro");
        Statement statement = connection.createStatement();
        ResultSet row =
            statement.executeQuery(
                "SELECT table_name, metadata_location, metadata_sha256 FROM iceberg_tables"
                    + " WHERE iceberg_type IS NULL OR iceberg_type = 'TABLE' ORDER BY table_name")) {
      while (row.next()) {
        found.add(new Pointer(tenant, row.getString(1), row.getString(2), row.getString(3)));
      }
    }
  }

  /** The table, decrypting as it reads. Fails if metadata.json is not the one the catalog row vouches for. */
  static Table open(Pointer pointer, Keyring keyring) throws IOException {
    byte[] bytes = Files.readAllBytes(LocalFiles.path(pointer.metadataLocation()));
    String digest = sha256(bytes);
    if (!digest.equals(pointer.metadataSha256())) {
      throw new IOException("metadata.json of " + pointer.table() + " is not the one in the catalog: " + digest);
    }
    LocalFiles files = new LocalFiles();
    TableMetadata metadata = TableMetadataParser.read(files.newInputFile(pointer.metadataLocation()));
    EncryptionManager encryption =
        EncryptionUtil.createEncryptionManager(metadata.encryptionKeys(), metadata.properties(), keyring);
    if (!(encryption instanceof StandardEncryptionManager)) {
      throw new IOException("table " + pointer.table() + " is not encrypted: no `encryption.key-id`");
    }
    EncryptingFileIO io = EncryptingFileIO.combine(files, encryption);
    return new BaseTable(new ReadOnly(metadata, io), pointer.tenant() + "." + pointer.table());
  }

  private static String sha256(byte[] bytes) {
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
    } catch (GeneralSecurityException error) {
      throw new IllegalStateException("every Java has SHA-256", error);
    }
  }

  private static final class ReadOnly extends StaticTableOperations {
    private final EncryptingFileIO io;

    ReadOnly(TableMetadata metadata, EncryptingFileIO io) {
      super(metadata, io);
      this.io = io;
    }

    @Override
    public EncryptionManager encryption() {
      return io.encryptionManager();
    }
  }
}
