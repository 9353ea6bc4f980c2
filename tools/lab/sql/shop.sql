-- A shop that does not exist. Names are made of two lists; card numbers are of no issuer's account range that is in use
-- (4000 0000 ...), social security numbers start with 9 (never assigned), mail goes to example.com.
set client_min_messages = warning;
begin;
drop table if exists orders, products, customers;

create table customers (
	id integer primary key,
	name text not null,
	email text not null unique,
	ssn text not null,
	card_number text not null,
	city text not null
);
insert into customers
select i,
	(array['Ada','Bela','Cato','Dora','Egon','Fina','Gil','Hela','Ivo','Jule'])[1 + i % 10] || ' ' ||
	(array['Amber','Brook','Cedar','Dune','Elder','Frost','Grove'])[1 + i % 7],
	'customer' || i || '@example.com',
	'9' || lpad((i * 7 % 100)::text, 2, '0') || '-' || lpad((i * 13 % 100)::text, 2, '0') || '-' || lpad((i * 37 % 10000)::text, 4, '0'),
	'40000000' || lpad((i::bigint * 7919 % 100000000)::text, 8, '0'),
	(array['Lisbon','Oslo','Turin','Ghent','Graz'])[1 + i % 5]
from generate_series(1, 300) i;

create table products (
	id integer primary key,
	name text not null,
	price numeric(10,2) not null check (price > 0)
);
insert into products
select i, (array['kettle','lamp','ladder','rake','teapot'])[1 + i % 5] || ' no. ' || i, 5 + (i * 17 % 1000) / 10.0
from generate_series(1, 60) i;

create table orders (
	id integer primary key,
	customer_id integer not null references customers(id),
	product_id integer not null references products(id),
	quantity integer not null,
	placed_on date not null
);
insert into orders
select i, 1 + i * 31 % 300, 1 + i * 11 % 60, 1 + i % 4, date '2026-01-01' + i % 200
from generate_series(1, 600) i;
commit;
analyze customers, products, orders;
