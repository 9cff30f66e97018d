def write_table(o): pass
