package bonded.interop;

import java.math.BigDecimal;

/** A statement that must hold, or the run fails with its sentence. */
final class Check {
  private Check() {}

  static final class Failed extends RuntimeException {
    Failed(String message) {
      super(message);
    }
  }

  static void that(boolean holds, String sentence, Object... values) {
    if (!holds) {
      throw new Failed(String.format(sentence, values));
    }
  }

  /** Equal as amounts, whatever the scale; null equals null. */
  static boolean same(BigDecimal one, BigDecimal other) {
    return one == null || other == null ? one == other : one.compareTo(other) == 0;
  }
}
