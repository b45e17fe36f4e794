import sys
from pathlib import Path
import time
import duckdb
from repeating import repeat
DENSE = [f"I{i}" for i in range(1, 14)]
CATS = [f"C{i}" for i in range(1, 27)]
import os
way=os.environ.get("WAY","enum")
mat=os.environ.get("MAT","0")=="1"
def job(source: Path, out: Path) -> None:
    con = duckdb.connect()
    t=time.perf_counter()
    dense=", ".join(f"ln(1 + greatest(coalesce({c}, 0), 0)) AS {c}" for c in DENSE)
    kind="TABLE" if mat else "VIEW"
    con.execute(f"CREATE TEMP {kind} rows_ AS SELECT label, {dense}, {', '.join(CATS)} FROM read_parquet('{source}/*.parquet')")
    st=con.execute("SELECT "+", ".join(f"avg({c}), stddev_pop({c})" for c in DENSE)+" FROM rows_").fetchone()
    print("stats",time.perf_counter()-t)
    for c in CATS:
        if way=="enum":
            con.execute(f"CREATE TYPE e_{c} AS ENUM (SELECT {c} FROM (SELECT {c}, count(*) AS n FROM rows_ WHERE {c} IS NOT NULL GROUP BY {c} HAVING count(*) >= 15) ORDER BY n DESC, {c})")
        else:
            con.execute(f"CREATE TEMP TABLE v_{c} AS SELECT {c}, (1+row_number() OVER (ORDER BY n DESC, {c}))::INT AS id FROM (SELECT {c}, count(*) AS n FROM rows_ WHERE {c} IS NOT NULL GROUP BY {c} HAVING count(*) >= 15)")
    print("fit",time.perf_counter()-t)
    scaled=", ".join(f"(({c} - {st[2*i]!r}) / {st[2*i+1]!r})::FLOAT AS {c}" for i,c in enumerate(DENSE))
    if way=="enum":
        enc=", ".join(f"CASE WHEN {c} IS NULL THEN 0 ELSE coalesce(enum_code(TRY_CAST({c} AS e_{c}))::INT + 2, 1) END::INT AS {c}" for c in CATS); fr="rows_"
    else:
        enc=", ".join(f"CASE WHEN r.{c} IS NULL THEN 0 ELSE coalesce(v_{c}.id, 1) END::INT AS {c}" for c in CATS); fr="rows_ r "+" ".join(f"LEFT JOIN v_{c} ON r.{c} = v_{c}.{c}" for c in CATS)
    con.execute(f"COPY (SELECT label, {scaled}, {enc} FROM {fr}) TO '{out}/features.parquet' (FORMAT parquet, COMPRESSION snappy)")
    print("all",time.perf_counter()-t)
repeat(job,None)
