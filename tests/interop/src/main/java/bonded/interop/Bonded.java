package bonded.interop;

import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.MappingIterator;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.OffsetDateTime;
import java.time.YearMonth;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.data.Record;
import org.apache.iceberg.types.Types;

/** The `bonded` binary under test: asked the same questions, in SQL, that Iceberg's Java reader has answered. */
final class Bonded {
  private static final long TIMEOUT_SECONDS = 300;

  /** A data file in a physical plan; names are random, so the folder adds nothing. */
  private static final Pattern DATA_FILE = Pattern.compile("[^/\\s,\\[]+\\.parquet");

  private final Path binary;
  private final Path lake;
  private final Path keys;
  private final ObjectMapper json =
      new ObjectMapper().enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS);

  Bonded(Path binary, Path lake, Path keys) {
    this.binary = binary;
    this.lake = lake;
    this.keys = keys;
  }

  /** Fails on the first difference between what Java read and what the binary answers. */
  void compare(Lake.Pointer pointer, Snapshot snapshot, Reading java) throws IOException, InterruptedException {
    String what = pointer.tenant() + "." + pointer.table() + " snapshot " + snapshot.snapshotId();
    String from = java.current() ? pointer.table() : asOf(pointer.table(), snapshot.snapshotId());
    JsonNode totals = query(pointer.tenant(), totalsSql(java, from)).get(0);
    Check.that(totals.path("n").asLong() == java.rows.size(), "%s: java %d rows, bonded %s", what, java.rows.size(), totals.path("n"));
    int index = 0;
    for (Map.Entry<String, BigDecimal> sum : java.sums.entrySet()) {
      BigDecimal rust = decimal(totals.get("sum_" + index++));
      Check.that(Check.same(sum.getValue(), rust), "%s: sum of %s: java %s, bonded %s", what, sum.getKey(), sum.getValue(), rust);
    }
    compareMonths(what, pointer.tenant(), from, java);
    compareRows(what, java, query(pointer.tenant(), "SELECT * FROM " + from));
  }

  /** The same rows by month, out of the very same files. */
  private void compareMonths(String what, String tenant, String from, Reading java) throws IOException, InterruptedException {
    if (java.months.isEmpty()) {
      return;
    }
    String counts =
        java.months.keySet().stream()
            .map(month -> "SELECT '" + month + "' AS month, count(*) AS n" + where(from, java, month))
            .collect(Collectors.joining(" UNION ALL "));
    Map<String, Long> rows = new HashMap<>();
    query(tenant, counts).forEach(line -> rows.put(line.path("month").asText(), line.path("n").asLong()));
    for (Map.Entry<YearMonth, Reading.Month> month : java.months.entrySet()) {
      Long found = rows.get(month.getKey().toString());
      long expectedRows = month.getValue().rows();
      Check.that(found != null && found == expectedRows, "%s %s: java %d rows, bonded %d", what, month.getKey(), expectedRows, found);
      Set<String> planned = new TreeSet<>();
      for (ObjectNode line : query(tenant, "EXPLAIN VERBOSE SELECT \"_row\"" + where(from, java, month.getKey()))) {
        if (line.path("plan_type").asText().equals("physical_plan")) {
          DATA_FILE.matcher(line.path("plan").asText()).results().forEach(file -> planned.add(file.group()));
        }
      }
      Set<String> expected = new TreeSet<>();
      month.getValue().filesPlanned().forEach(location -> expected.add(location.substring(location.lastIndexOf('/') + 1)));
      Check.that(planned.equals(expected), "%s %s: java plans %s, bonded %s", what, month.getKey(), expected, planned);
    }
  }

  /** A snapshot of the past, as SQL names it. */
  private static String asOf(String table, long snapshotId) {
    return "at('" + table + "', " + snapshotId + ")";
  }

  private static String totalsSql(Reading java, String from) {
    StringBuilder sql = new StringBuilder("SELECT count(*) AS n");
    int index = 0;
    for (String column : java.sums.keySet()) {
      sql.append(", sum(\"").append(column).append("\") AS sum_").append(index++);
    }
    return sql.append(" FROM ").append(from).toString();
  }

  private static String where(String from, Reading java, YearMonth month) {
    return String.format(
        " FROM %1$s WHERE \"%2$s\" >= DATE '%3$s' AND \"%2$s\" < DATE '%4$s'",
        from, java.monthColumn, month.atDay(1), month.plusMonths(1).atDay(1));
  }

  private static void compareRows(String what, Reading java, List<ObjectNode> answered) {
    Map<String, ObjectNode> rust = new HashMap<>();
    for (ObjectNode row : answered) {
      rust.put(row.path("_delivery_id").asText() + " " + row.path("_row").asText(), row);
    }
    Check.that(rust.size() == answered.size(), "%s: bonded answers a row twice", what);
    Check.that(rust.size() == java.rows.size(), "%s: java %d rows, bonded %d", what, java.rows.size(), rust.size());
    for (Record row : java.rows) {
      String name = row.getField("_delivery_id") + " " + row.getField("_row");
      ObjectNode other = rust.get(name);
      Check.that(other != null, "%s: bonded has no row %s", what, name);
      for (Types.NestedField column : java.schema.columns()) {
        // The values themselves stay out of the message: logs hold no cells.
        Check.that(
            same(row.getField(column.name()), other.get(column.name())),
            "%s: row %s differs in column %s",
            what,
            name,
            column.name());
      }
      other.remove(java.schema.columns().stream().map(Types.NestedField::name).toList());
      Check.that(other.isEmpty(), "%s: bonded has columns that java has not", what);
    }
  }

  private static boolean same(Object java, JsonNode rust) {
    boolean none = rust == null || rust.isNull();
    if (java == null || none) {
      return java == null && none;
    }
    if (java instanceof BigDecimal amount) {
      return Check.same(amount, decimal(rust));
    }
    if (java instanceof Integer || java instanceof Long) {
      return rust.asText().equals(java.toString());
    }
    if (java instanceof LocalDate date) {
      return rust.asText().equals(date.toString());
    }
    if (java instanceof OffsetDateTime time) {
      return instant(rust.asText()).equals(time.toInstant());
    }
    if (java instanceof Collection<?> items) {
      List<String> others = new ArrayList<>();
      rust.forEach(item -> others.add(item.isNull() ? null : item.asText()));
      return others.equals(items.stream().map(item -> item == null ? null : item.toString()).collect(Collectors.toList()));
    }
    if (java instanceof Map<?, ?> map) {
      Map<String, String> left = new HashMap<>();
      map.forEach((key, value) -> left.put(key.toString(), value == null ? null : value.toString()));
      Map<String, String> right = new HashMap<>();
      rust.properties().forEach(entry -> right.put(entry.getKey(), entry.getValue().isNull() ? null : entry.getValue().asText()));
      return left.equals(right);
    }
    return rust.asText().equals(java.toString());
  }

  private static BigDecimal decimal(JsonNode node) {
    return node == null || node.isNull() ? null : new BigDecimal(node.asText());
  }

  private static Instant instant(String text) {
    String iso = text.replace(' ', 'T');
    boolean zoned = iso.endsWith("Z") || iso.lastIndexOf('+') > iso.indexOf('T');
    return zoned ? OffsetDateTime.parse(iso).toInstant() : LocalDateTime.parse(iso).toInstant(ZoneOffset.UTC);
  }

  private List<ObjectNode> query(String tenant, String sql) throws IOException, InterruptedException {
    // Through files, so that neither side waits for the other's pipe.
    Path answer = Files.createTempFile("bonded-answer", ".jsonl");
    Path complaint = Files.createTempFile("bonded-answer", ".txt");
    try {
      List<String> command =
          List.of(binary.toString(), "--lake", lake.toString(), "query", "--tenant", tenant, "--format", "jsonl", sql);
      ProcessBuilder builder =
          new ProcessBuilder(command).redirectOutput(answer.toFile()).redirectError(complaint.toFile());
      builder.environment().put("BONDED_KEYS_DIR", keys.toString());
      Process process = builder.start();
      if (!process.waitFor(TIMEOUT_SECONDS, TimeUnit.SECONDS)) {
        process.destroyForcibly();
        throw new IOException("bonded did not answer within " + TIMEOUT_SECONDS + " s: " + sql);
      }
      Check.that(process.exitValue() == 0, "bonded exits %d on: %s%n%s", process.exitValue(), sql, Files.readString(complaint));
      try (MappingIterator<ObjectNode> rows = json.readerFor(ObjectNode.class).readValues(answer.toFile())) {
        return rows.readAll();
      }
    } finally {
      Files.deleteIfExists(answer);
      Files.deleteIfExists(complaint);
    }
  }
}
