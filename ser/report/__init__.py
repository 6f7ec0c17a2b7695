"""Numbers into pictures, tables and pages."""
