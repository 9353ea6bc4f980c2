"""A shop's warehouse and the questions of its analysts, in the manner of decision support benchmarks; and the transaction of pgbench."""

SCHEMA = """
create table region (r_id int primary key, r_name text);
create table nation (n_id int primary key, n_name text, n_region int);
create table supplier (s_id int primary key, s_name text, s_nation int, s_balance numeric(12,2));
create table customer (k_id int primary key, k_name text, k_nation int, k_segment text, k_balance numeric(12,2), k_phone text);
create table part (p_id int primary key, p_name text, p_brand text, p_size int, p_price numeric(12,2));
create table stock (ps_part int, ps_supplier int, ps_quantity int, ps_cost numeric(12,2), primary key (ps_part, ps_supplier));
create table orders (o_id int primary key, o_customer int, o_status char(1), o_total numeric(14,2), o_date date, o_priority text);
create table item (i_order int, i_line int, i_part int, i_supplier int, i_quantity int, i_price numeric(12,2), i_discount numeric(4,2), i_tax numeric(4,2),
  i_flag char(1), i_shipped date, i_due date, i_mode text, primary key (i_order, i_line));
insert into region select i, (array['north', 'east', 'south', 'west'])[i] from generate_series(1, 4) i;
insert into nation select i, 'nation ' || i, i % 4 + 1 from generate_series(1, 12) i;
insert into supplier select i, 'supplier ' || i, i % 12 + 1, (i * 7919 % 100000) / 10.0 from generate_series(1, 40) i;
insert into customer select i, 'customer ' || i, i % 12 + 1, (array['home', 'office', 'trade'])[i % 3 + 1], (i * 104729 % 1000000) / 100.0 - 900,
  to_char(i * 7 % 90 + 10, 'FM00') || '-' || i * 31337 % 1000000 from generate_series(1, 300) i;
insert into part select i, (array['red', 'green', 'blue', 'steel'])[i % 4 + 1] || ' part ' || i, 'brand#' || i % 5, i % 50, 900 + i * 13 % 700 from generate_series(1, 200) i;
insert into stock select p, (p + s * 11) % 40 + 1, p * s % 999, p * s % 700 / 3.0 from generate_series(1, 200) p, generate_series(1, 3) s;
insert into orders select i, i * 17 % 300 + 1, (array['F', 'O', 'P'])[i % 3 + 1], 0, date '2024-01-01' + i * 3 % 900, (array['high', 'low', 'none'])[i % 3 + 1]
  from generate_series(1, 1500) i;
insert into item select o, l, (o * 7 + l * 13) % 200 + 1, (o + l) % 40 + 1, (o * l) % 50 + 1, (o * l * 37 % 90000) / 7.0, (o + l) % 10 / 100.0, l % 8 / 100.0,
  (array['A', 'N', 'R'])[(o + l) % 3 + 1], date '2024-01-05' + (o * 3 + l) % 900, date '2024-01-20' + (o * 3) % 900, (array['air', 'rail', 'ship'])[l % 3 + 1]
  from generate_series(1, 1500) o, generate_series(1, 4) l;
update orders set o_total = (select sum(i_price) from item where i_order = o_id);
create table pgbench_like (aid int primary key, bid int, balance int, filler char(84));
insert into pgbench_like select i, 1, 0, '' from generate_series(1, 100) i;
create table pgbench_history_like (aid int, delta int, at int);
analyze;
"""

QUESTIONS = (
    """select i_flag, i_mode, sum(i_quantity) as qty, sum(i_price) as base, sum(i_price * (1 - i_discount)) as net,
       sum(i_price * (1 - i_discount) * (1 + i_tax)) as charge, avg(i_quantity), avg(i_discount), count(*)
       from item where i_shipped <= date '2026-03-01' - interval '90 day' group by i_flag, i_mode order by i_flag, i_mode""",
    """select s_balance, s_name, n_name, p_id from part, supplier, stock, nation, region where p_id = ps_part and s_id = ps_supplier and p_size = 15
       and s_nation = n_id and n_region = r_id and ps_cost = (select min(ps_cost) from stock, supplier, nation where p_id = ps_part
       and s_id = ps_supplier and s_nation = n_id) order by s_balance desc, n_name, s_name, p_id limit 100""",
    """select i_order, sum(i_price * (1 - i_discount)) as revenue, o_date from customer, orders, item where k_segment = 'home' and k_id = o_customer
       and i_order = o_id and o_date < date '2025-03-15' and i_shipped > date '2025-03-15' group by i_order, o_date order by revenue desc, o_date limit 10""",
    """select o_priority, count(*) from orders where o_date >= date '2025-01-01' and o_date < date '2025-01-01' + interval '3 month'
       and exists (select * from item where i_order = o_id and i_shipped > i_due) group by o_priority order by o_priority""",
    """select n_name, sum(i_price * (1 - i_discount)) as revenue from customer join orders on k_id = o_customer join item on i_order = o_id
       join supplier on i_supplier = s_id and k_nation = s_nation join nation on s_nation = n_id group by n_name order by revenue desc""",
    "select sum(i_price * i_discount) from item where i_shipped >= date '2025-01-01' and i_discount between 0.05 and 0.07 and i_quantity < 24",
    """select supp, year, sum(volume) from (select n_name as supp, extract(year from i_shipped) as year, i_price * (1 - i_discount) as volume
       from supplier, item, nation where s_id = i_supplier and s_nation = n_id) as shipping group by supp, year order by supp, year""",
    """select year, sum(case when nation = 'nation 3' then volume else 0 end) / sum(volume) as share from (select extract(year from o_date) as year,
       i_price as volume, n_name as nation from item join orders on o_id = i_order join supplier on s_id = i_supplier join nation on n_id = s_nation) q
       group by year order by year""",
    """select k_id, k_name, sum(i_price) as lost, k_balance, n_name, k_phone from customer join orders on k_id = o_customer join item on i_order = o_id
       join nation on k_nation = n_id where i_flag = 'R' group by k_id, k_name, k_balance, n_name, k_phone order by lost desc, k_id limit 20""",
    """select ps_part, sum(ps_cost * ps_quantity) as value from stock group by ps_part having sum(ps_cost * ps_quantity) >
       (select sum(ps_cost * ps_quantity) * 0.005 from stock) order by value desc, ps_part""",
    """select i_mode, sum(case when o_priority = 'high' then 1 else 0 end), sum(case when o_priority <> 'high' then 1 else 0 end)
       from orders, item where o_id = i_order and i_mode in ('air', 'ship') and i_shipped < i_due group by i_mode order by i_mode""",
    """select n_orders, count(*) as dist from (select k_id, count(o_id) from customer left outer join orders on k_id = o_customer
       and o_priority not like '%no%' group by k_id) as c_orders (k_id, n_orders) group by n_orders order by dist desc, n_orders desc""",
    "select 100.00 * sum(case when p_name like 'steel%' then i_price else 0 end) / sum(i_price) from item, part where i_part = p_id",
    """with revenue (supplier_no, total) as (select i_supplier, sum(i_price) from item group by i_supplier) select s_id, s_name, total from supplier, revenue
       where s_id = supplier_no and total = (select max(total) from revenue) order by s_id""",
    """select p_brand, p_size, count(distinct ps_supplier) as n from stock, part where p_id = ps_part and p_brand <> 'brand#4' and p_size in (3, 9, 14, 19)
       and ps_supplier not in (select s_id from supplier where s_name like '%9%') group by p_brand, p_size order by n desc, p_brand, p_size""",
    """select k_name, o_id, o_total, sum(i_quantity) from customer, orders, item where o_id in (select i_order from item group by i_order
       having sum(i_quantity) > 120) and k_id = o_customer and o_id = i_order group by k_name, o_id, o_total order by o_total desc, o_id limit 50""",
    """select left(k_phone, 2) as code, count(*), sum(k_balance) from customer where k_balance > (select avg(k_balance) from customer where k_balance > 0)
       and not exists (select 1 from orders where o_customer = k_id and o_status = 'P') group by code order by code""",
    """select o_id, rank() over (partition by o_customer order by o_total desc), lag(o_date) over (order by o_id), o_total / sum(o_total) over ()
       from orders where o_customer < 9 order by o_id""",
    "select * from item order by i_order, i_line limit 2000",
    "select * from customer natural join (select k_id, count(*) from customer group by k_id) q order by k_id",
)


def transaction(n):
    """As `pgbench` does it."""
    aid, delta = n * 37 % 100 + 1, n * 101 % 999 - 499
    return ("begin", f"update pgbench_like set balance = balance + {delta} where aid = {aid}", f"select balance from pgbench_like where aid = {aid}",
            f"insert into pgbench_history_like values ({aid}, {delta}, {n})", "end")
