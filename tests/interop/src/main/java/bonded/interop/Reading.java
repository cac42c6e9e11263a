package bonded.interop;

import java.io.IOException;
import java.math.BigDecimal;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.time.YearMonth;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.iceberg.FileScanTask;
import org.apache.iceberg.PartitionField;
import org.apache.iceberg.Schema;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.Table;
import org.apache.iceberg.TableScan;
import org.apache.iceberg.data.IcebergGenerics;
import org.apache.iceberg.data.Record;
import org.apache.iceberg.expressions.Expression;
import org.apache.iceberg.expressions.Expressions;
import org.apache.iceberg.io.CloseableIterable;
import org.apache.iceberg.types.Type;
import org.apache.iceberg.types.Types;
import org.apache.iceberg.util.SnapshotUtil;

/** One snapshot of one table, read whole by Iceberg's planner and generic reader, then again month by month. */
final class Reading {
  final Schema schema;
  final List<Record> rows = new ArrayList<>();

  /** Sum of every decimal column; null where it holds no value, as in SQL. */
  final Map<String, BigDecimal> sums = new TreeMap<>();

  /** Locations of the files that a scan of everything plans. */
  final Set<String> filesPlanned;

  /** The column whose month partitions the table, or null. */
  final String monthColumn;

  final Map<YearMonth, Month> months = new TreeMap<>();

  /** What a filter on one month plans and returns. */
  record Month(Set<String> filesPlanned, long rows) {}

  private final Table table;
  private final Snapshot snapshot;

  Reading(Table table, Snapshot snapshot) throws IOException {
    this.table = table;
    this.snapshot = snapshot;
    this.schema = current() ? table.schema() : SnapshotUtil.schemaFor(table, snapshot.snapshotId());
    this.filesPlanned = plan(Expressions.alwaysTrue());
    scan(Expressions.alwaysTrue(), rows);
    for (Types.NestedField column : schema.columns()) {
      if (column.type().typeId() == Type.TypeID.DECIMAL) {
        sums.put(column.name(), sum(rows, column.name()));
      }
    }
    this.monthColumn = monthColumn();
    if (monthColumn != null) {
      readMonths();
    }
  }

  /** True where the snapshot is the table's newest: it is then read under the table's schema of today. */
  boolean current() {
    return table.currentSnapshot().snapshotId() == snapshot.snapshotId();
  }

  private void readMonths() throws IOException {
    Map<YearMonth, List<Record>> expected = new TreeMap<>();
    for (Record row : rows) {
      YearMonth month = month(row.getField(monthColumn));
      if (month != null) {
        expected.computeIfAbsent(month, key -> new ArrayList<>()).add(row);
      }
    }
    for (Map.Entry<YearMonth, List<Record>> entry : expected.entrySet()) {
      Expression filter = within(entry.getKey());
      List<Record> whole = entry.getValue();
      List<Record> found = new ArrayList<>();
      scan(filter, found);
      Check.that(
          found.size() == whole.size(),
          "%s %s: the filter returned %d rows, the full scan holds %d",
          table.name(),
          entry.getKey(),
          found.size(),
          whole.size());
      for (String column : sums.keySet()) {
        Check.that(
            Check.same(sum(found, column), sum(whole, column)),
            "%s %s: the sum of %s differs between the filter and the full scan",
            table.name(),
            entry.getKey(),
            column);
      }
      months.put(entry.getKey(), new Month(plan(filter), found.size()));
    }
    for (Map.Entry<YearMonth, Month> entry : months.entrySet()) {
      Check.that(
          months.size() == 1 || entry.getValue().filesPlanned().size() < filesPlanned.size(),
          "%s %s: no pruning, %d of %d files planned",
          table.name(),
          entry.getKey(),
          entry.getValue().filesPlanned().size(),
          filesPlanned.size());
    }
  }

  private String monthColumn() {
    for (PartitionField field : table.spec().fields()) {
      if (field.transform().toString().equals("month")) {
        return schema.findColumnName(field.sourceId());
      }
    }
    return null;
  }

  private Expression within(YearMonth month) {
    LocalDate first = month.atDay(1);
    LocalDate next = month.plusMonths(1).atDay(1);
    boolean date = schema.findType(monthColumn).typeId() == Type.TypeID.DATE;
    String from = date ? first.toString() : first.atStartOfDay().atOffset(ZoneOffset.UTC).toString();
    String until = date ? next.toString() : next.atStartOfDay().atOffset(ZoneOffset.UTC).toString();
    return Expressions.and(
        Expressions.greaterThanOrEqual(monthColumn, from), Expressions.lessThan(monthColumn, until));
  }

  private static YearMonth month(Object value) {
    if (value instanceof LocalDate date) {
      return YearMonth.from(date);
    }
    if (value instanceof OffsetDateTime time) {
      return YearMonth.from(time.withOffsetSameInstant(ZoneOffset.UTC));
    }
    return null;
  }

  private Set<String> plan(Expression filter) throws IOException {
    TableScan scan = table.newScan().filter(filter);
    Set<String> files = new HashSet<>();
    try (CloseableIterable<FileScanTask> tasks = (current() ? scan : scan.useSnapshot(snapshot.snapshotId())).planFiles()) {
      for (FileScanTask task : tasks) {
        Check.that(task.file().keyMetadata() != null, "%s: a data file has no key metadata", table.name());
        files.add(task.file().location());
      }
    }
    return files;
  }

  private void scan(Expression filter, List<Record> into) throws IOException {
    IcebergGenerics.ScanBuilder scan = IcebergGenerics.read(table).where(filter);
    try (CloseableIterable<Record> found = (current() ? scan : scan.useSnapshot(snapshot.snapshotId())).build()) {
      found.forEach(into::add);
    }
  }

  private static BigDecimal sum(List<Record> rows, String column) {
    BigDecimal sum = null;
    for (Record row : rows) {
      BigDecimal value = (BigDecimal) row.getField(column);
      if (value != null) {
        sum = sum == null ? value : sum.add(value);
      }
    }
    return sum;
  }
}
