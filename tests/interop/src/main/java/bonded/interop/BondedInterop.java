package bonded.interop;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.stream.StreamSupport;
import javax.crypto.AEADBadTagException;
import org.apache.iceberg.IcebergBuild;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.Table;
import org.apache.iceberg.data.IcebergGenerics;
import org.apache.iceberg.data.Record;
import org.apache.iceberg.io.CloseableIterable;

/**
 * Reads every table and every snapshot of a Bonded lake with Apache Iceberg's own decryption, planner and reader.
 *
 * <p>JSON lines on standard output, sentences on standard error. Exit codes: 0 all holds, 1 something does not, 2 usage.
 */
public final class BondedInterop {
  private static final ObjectMapper JSON = new ObjectMapper();

  private BondedInterop() {}

  public static void main(String[] arguments) {
    try {
      System.exit(run(new ArrayList<>(List.of(arguments))));
    } catch (Check.Failed failed) {
      System.err.println("interop: " + failed.getMessage());
      System.exit(1);
    } catch (Exception error) {
      System.err.println("interop: " + error);
      error.printStackTrace();
      System.exit(1);
    }
  }

  private static int run(List<String> arguments) throws Exception {
    boolean wrongKey = arguments.remove("--wrong-key");
    Path binary = null;
    int against = arguments.indexOf("--against");
    if (against >= 0 && against + 1 < arguments.size()) {
      binary = Path.of(arguments.remove(against + 1)).toAbsolutePath();
      arguments.remove(against);
    }
    if (arguments.size() != 2 || arguments.stream().anyMatch(argument -> argument.startsWith("--"))) {
      System.err.println("usage: BondedInterop <lake folder> <keys folder> [--wrong-key | --against <bonded binary>]");
      return 2;
    }
    Path lake = Path.of(arguments.get(0)).toAbsolutePath();
    Path keys = Path.of(arguments.get(1)).toAbsolutePath();
    List<Lake.Pointer> tables = new Lake(lake).tables();
    Check.that(!tables.isEmpty(), "no table under %s", lake);
    if (wrongKey) {
      refuseWrongKeys(tables, keys);
    } else {
      readAll(tables, Keyring.open(keys, Keyring.Fault.NONE), binary == null ? null : new Bonded(binary, lake, keys));
    }
    return 0;
  }

  private static void readAll(List<Lake.Pointer> tables, Keyring keyring, Bonded bonded) throws Exception {
    int snapshots = 0;
    long rows = 0;
    int pruned = 0;
    for (Lake.Pointer pointer : tables) {
      Table table = Lake.open(pointer, keyring);
      for (Snapshot snapshot : snapshots(table)) {
        Reading reading = new Reading(table, snapshot);
        String stated = snapshot.summary().get("total-records");
        Check.that(
            stated == null || Long.parseLong(stated) == reading.rows.size(),
            "%s: the snapshot's summary says %s rows, %d were read",
            table.name(),
            stated,
            reading.rows.size());
        print(pointer, snapshot, reading);
        if (bonded != null) {
          bonded.compare(pointer, snapshot, reading);
        }
        snapshots++;
        rows += reading.current() ? reading.rows.size() : 0;
        pruned += reading.months.size() > 1 ? reading.months.size() : 0;
      }
    }
    Check.that(snapshots > 0, "no table holds a snapshot");
    System.err.printf(
        "interop: Iceberg %s read %d tables, %d snapshots, %d rows of today; %d month filters pruned files and lost no row%s%n",
        IcebergBuild.version(),
        tables.size(),
        snapshots,
        rows,
        pruned,
        bonded == null ? "" : "; every row, cell, sum and pruned file equals bonded's");
  }

  /** Every read under a wrong key must fail, in the keyring and in Iceberg itself, before the first row. */
  private static void refuseWrongKeys(List<Lake.Pointer> tables, Path keys) throws IOException {
    int refused = 0;
    for (Keyring.Fault fault : List.of(Keyring.Fault.ROOT, Keyring.Fault.TABLE)) {
      for (Lake.Pointer pointer : tables) {
        Table table = Lake.open(pointer, Keyring.open(keys, fault));
        for (Snapshot snapshot : snapshots(table)) {
          List<Record> leaked = new ArrayList<>();
          Throwable refusal = null;
          try (CloseableIterable<Record> rows =
              IcebergGenerics.read(table).useSnapshot(snapshot.snapshotId()).build()) {
            rows.forEach(leaked::add);
          } catch (RuntimeException error) {
            refusal = cause(error);
          }
          ObjectNode line = JSON.createObjectNode();
          line.put("tenant", pointer.tenant()).put("table", pointer.table()).put("snapshot_id", snapshot.snapshotId());
          line.put("wrong_key", fault.name().toLowerCase(Locale.ROOT)).put("rows", leaked.size());
          line.put("error", refusal == null ? null : refusal.getClass().getSimpleName());
          System.out.println(line);
          Check.that(leaked.isEmpty(), "%s: a wrong key read %d rows", table.name(), leaked.size());
          // Any other failure would prove nothing about keys.
          Check.that(
              refusal instanceof AEADBadTagException, "%s: refused, but not for its key: %s", table.name(), refusal);
          refused++;
        }
      }
    }
    Check.that(refused > 0, "no table holds a snapshot");
    System.err.printf("interop: %d reads under a wrong key, all refused, no row read%n", refused);
  }

  private static List<Snapshot> snapshots(Table table) {
    return StreamSupport.stream(table.snapshots().spliterator(), false)
        .sorted(Comparator.comparingLong(Snapshot::sequenceNumber))
        .toList();
  }

  private static Throwable cause(Throwable error) {
    return error.getCause() == null ? error : cause(error.getCause());
  }

  private static void print(Lake.Pointer pointer, Snapshot snapshot, Reading reading) {
    ObjectNode line = JSON.createObjectNode();
    line.put("tenant", pointer.tenant()).put("table", pointer.table());
    line.put("snapshot_id", snapshot.snapshotId()).put("sequence_number", snapshot.sequenceNumber());
    line.put("operation", snapshot.operation()).put("rows", reading.rows.size());
    ObjectNode sums = line.putObject("sums");
    reading.sums.forEach((column, sum) -> sums.put(column, sum == null ? null : sum.toPlainString()));
    line.put("files_planned", reading.filesPlanned.size());
    ObjectNode months = line.putObject("files_planned_for_month");
    reading.months.forEach((month, found) -> months.put(month.toString(), found.filesPlanned().size()));
    System.out.println(line);
  }
}
