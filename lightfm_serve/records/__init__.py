"""Rules of records that client and library share: cell values, event ids, nearest names. Nothing but Python."""
