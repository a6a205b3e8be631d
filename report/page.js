'use strict';
(function () {
  var root = document.documentElement, table = document.getElementById('table');
  var view = document.getElementById('viewport'), data = document.getElementById('rows');
  var body = table.tBodies[0], shown = document.getElementById('shown'), query = document.getElementById('q');
  var all, order, wanted = -1, fate = -2, sorted = 0, down = false, large = !!data;
  root.classList.add('js');
  document.querySelector('.tools').hidden = false;
  if (large) view.hidden = false;

  // A row is {key: what its columns sort by, status, fate of its action, text: what is searched}.
  function fromTable() {
    return Array.prototype.map.call(body.rows, function (tr) {
      var key = Array.prototype.map.call(tr.cells, function (td) { return td.textContent; });
      key[0] = parseInt(key[0], 10);
      return { key: key, status: +tr.dataset.status, fate: +tr.dataset.fate, text: key.join('\n').toLowerCase(), tr: tr };
    });
  }

  function fromData() {
    var d = JSON.parse(data.textContent), s = d.strings;
    data.remove();
    return d.rows.map(function (r) {
      var row = { line: r[0], id: r[1], name: r[2], status: r[3], why: s[r[4]], error: s[r[5]], action: r[6],
        actionStatus: s[r[7]], comment: s[r[8]], sent: r[9] ? new Date(r[9]).toISOString().replace('T', ' ').slice(0, 19) : '', times: r[10], gone: r[11], fate: r[12], text: '' };
      row.label = d.statuses[row.status];
      row.key = [row.line, row.name || row.id, row.label + ' ' + row.why, row.action, row.comment, row.sent];
      row.link = d.portal && /^[0-9a-f]{40}$/.test(row.id) ? d.portal.replace('{id}', row.id) : '';
      return row;
    });
  }

  function textOf(r) {
    if (!r.text) r.text = [r.line, r.name, r.id, r.label, r.why, r.error, r.action, r.actionStatus, r.comment, r.sent].join('\n').toLowerCase();
    return r.text;
  }

  all = large ? fromData() : fromTable();
  all.forEach(function (r, i) { r.place = i; });

  function compare(a, b) {
    if (!sorted && !down) return a.place - b.place;
    var x = a.key[sorted], y = b.key[sorted], c = x < y ? -1 : x > y ? 1 : 0;
    // What is empty comes last, whichever way it is sorted.
    if (x === '' || y === '') return x === y ? a.place - b.place : x === '' ? 1 : -1;
    return (down ? -c : c) || a.place - b.place;
  }

  function update() {
    var q = query.value.trim().toLowerCase();
    order = all.filter(function (r) { return (wanted < 0 || r.status === wanted) && (fate < -1 || r.fate === fate) && (!q || textOf(r).indexOf(q) >= 0); });
    shown.textContent = order.length === all.length ? all.length.toLocaleString('en') + (all.length === 1 ? ' device' : ' devices')
      : order.length.toLocaleString('en') + ' of ' + all.length.toLocaleString('en') + ' devices shown';
    if (large) { view.scrollTop = to = 0; table.setAttribute('aria-rowcount', order.length + 1); draw(true); } else rearrange();
  }

  // On paper those that are hidden are there, too, so all are put in order.
  function rearrange() {
    var f = document.createDocumentFragment();
    all.forEach(function (r) { r.tr.hidden = true; f.appendChild(r.tr); });
    order.forEach(function (r) { r.tr.hidden = false; });
    body.appendChild(f);
  }

  // Above 2,000 rows only those in view are in the document.
  var height = 67, from = -1, to = 0, waiting = false, narrow = matchMedia('(max-width:700px)'), slim = false;

  function draw(anew) {
    if (slim !== narrow.matches) { slim = narrow.matches; to = 0; }
    if (slim) { grow(); return; }
    var first = Math.max(0, Math.floor(view.scrollTop / height) - 10);
    var last = Math.min(order.length, Math.ceil((view.scrollTop + view.clientHeight) / height) + 10);
    if (!anew && first === from && last === to) return;
    from = first; to = last;
    var f = document.createDocumentFragment();
    f.appendChild(space(first * height));
    for (var i = first; i < last; i++) f.appendChild(rowOf(order[i], i));
    f.appendChild(space((order.length - last) * height));
    body.replaceChildren(f);
    if (last > first) measure(body.rows[1].getBoundingClientRect().height);
  }

  // On a narrow screen rows are as high as their texts are long, so where one lies is
  // not known before those above it are drawn: more of them come as one scrolls on.
  function grow() {
    if (to === 0) body.replaceChildren();
    else if (view.scrollTop + 2 * view.clientHeight < view.scrollHeight) return;
    for (var last = Math.min(order.length, to + 40); to < last; to++) body.appendChild(rowOf(order[to], to));
  }

  // Zoom and fonts decide how high a row really is.
  function measure(h) {
    if (h > 0 && Math.abs(h - height) > 0.5) { height = h; draw(true); }
  }

  function space(h) {
    var tr = document.createElement('tr'), td = document.createElement('td');
    tr.className = 'space'; td.colSpan = 6; td.style.height = h + 'px'; tr.appendChild(td);
    tr.setAttribute('aria-hidden', 'true');
    return tr;
  }

  function add(to, tag, cls, text) {
    if (text === '' || text === undefined) return null;
    var e = document.createElement(tag);
    if (cls) e.className = cls;
    e.textContent = text; e.title = text;
    to.appendChild(e);
    return e;
  }

  function rowOf(r, i) {
    var tr = document.createElement('tr'), cells = [];
    tr.setAttribute('aria-rowindex', i + 2);
    for (var c = 0; c < 6; c++) {
      var td = document.createElement('td'), div = document.createElement('div');
      td.appendChild(div); tr.appendChild(td); cells.push(div);
    }
    cells[0].parentNode.className = 'num';
    add(cells[0], 'span', '', String(r.line));
    if (r.gone) add(cells[0], 'span', 'dim', 'left the list');
    add(cells[1], 'bdi', 'name', r.name);
    var id = r.link ? add(cells[1], 'a', '', r.id) : add(cells[1], 'code', '', r.id);
    if (r.link) { id.href = r.link; id.rel = 'noreferrer'; var code = document.createElement('code'); code.textContent = r.id; id.replaceChildren(code); }
    add(cells[2], 'span', 'chip ' + r.label.replace(' ', '-'), r.label);
    add(cells[2], 'bdi', 'why', r.why);
    add(cells[2], 'bdi', 'said', r.error);
    add(cells[3], 'code', '', r.action);
    add(cells[3], 'bdi', '', r.actionStatus);
    add(cells[4], 'bdi', '', r.comment);
    add(cells[5], 'time', '', r.sent);
    add(cells[5], 'span', 'dim', r.times > 1 ? r.times + ' attempts' : '');
    return tr;
  }

  Array.prototype.forEach.call(table.tHead.rows[0].cells, function (th, i) {
    var b = document.createElement('button');
    b.type = 'button'; b.textContent = th.textContent;
    th.replaceChildren(b);
    b.addEventListener('click', function () {
      down = sorted === i && !down; sorted = i;
      all.sort(compare);
      Array.prototype.forEach.call(table.tHead.rows[0].cells, function (other) { other.removeAttribute('aria-sort'); });
      th.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      update();
    });
  });
  table.tHead.rows[0].cells[0].setAttribute('aria-sort', 'ascending');

  var timer = 0;
  document.querySelectorAll('.filters').forEach(function (group) {
    var buttons = group.querySelectorAll('button');
    buttons.forEach(function (b) {
      b.addEventListener('click', function () {
        if (b.dataset.fate) fate = +b.dataset.fate; else wanted = +b.dataset.status;
        buttons.forEach(function (o) { o.setAttribute('aria-pressed', String(o === b)); });
        update();
      });
    });
  });
  query.addEventListener('input', function () { clearTimeout(timer); timer = setTimeout(update, large ? 120 : 0); });
  if (large) {
    view.addEventListener('scroll', function () {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(function () { waiting = false; draw(false); });
    });
    addEventListener('resize', function () { draw(true); });
  }
  update();
})();
