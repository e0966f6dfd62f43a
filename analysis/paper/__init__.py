"""The paper's figures, tables and claims beside the results of this project."""
