"use strict";
// Draws each figure into the element of its name. Without this the page still has all numbers, in its tables.
const figures = JSON.parse(document.getElementById("figures").textContent);
for (const [name, figure] of Object.entries(figures)) {
  const place = document.getElementById(name);
  if (place) Plotly.newPlot(place, figure.data, figure.layout, { displayModeBar: false, responsive: true });
}
