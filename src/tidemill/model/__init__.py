"""The words of the glossary as plain frozen values."""
