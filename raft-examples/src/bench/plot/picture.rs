//! The pictures: SVG, the axes logarithmic where what they show grows by factors, on a white ground of their own so that they can be read on a dark page.

use std::collections::BTreeMap;
use std::error::Error;
use std::ops::Range;
use std::path::PathBuf;

use plotters::coord::combinators::BindKeyPoints;
use plotters::element::DashedPathElement;
use plotters::prelude::*;

use super::super::BenchError;
use super::super::options::Axis;
use super::{Chart, Row};

const SIZE: (u32, u32) = (800, 480);
const DASH: i32 = 5;
const GREY: RGBColor = RGBColor(90, 90, 90);

/// Told apart by everybody, also in print (Okabe and Ito).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// Operations per second against clients, with the range of all runs.
pub(super) fn throughput(chart: &Chart) -> Result<String, BenchError> {
    let mut lines = Vec::new();
    for (series, colour) in chart.series.iter().zip(COLOURS.into_iter().cycle()) {
        let mut line = Line::new(series.label.clone(), colour, &series.rows, |row| row.ops_per_s);
        line.ranges = series.rows.iter().map(|(x, row)| (*x as f64, row.ops_per_s_min, row.ops_per_s_max)).collect();
        lines.push(line);
    }
    picture(chart, "Throughput", "operations per second", &lines, &count)
}

/// The median and the 99th percentile against clients.
pub(super) fn latency(chart: &Chart) -> Result<String, BenchError> {
    let mut lines = Vec::new();
    for (series, colour) in chart.series.iter().zip(COLOURS.into_iter().cycle()) {
        lines.push(Line::new(format!("{}: p50", series.label), colour, &series.rows, |row| row.p50_us));
        let p99 = Line::new(format!("{}: p99", series.label), colour, &series.rows, |row| row.p99_us);
        lines.push(Line { dashed: true, ..p99 });
    }
    picture(chart, "Latency", "time until the answer", &lines, &time)
}

struct Line {
    label: String,
    colour: RGBColor,
    dashed: bool,
    points: Vec<(f64, f64)>,
    /// Where, from, to.
    ranges: Vec<(f64, f64, f64)>,
}

impl Line {
    fn new(label: String, colour: RGBColor, rows: &BTreeMap<u64, Row>, y: impl Fn(&Row) -> f64) -> Self {
        let points = rows.iter().map(|(x, row)| (*x as f64, y(row))).collect();
        Self { label, colour, dashed: false, points, ranges: Vec::new() }
    }
}

/// What the drawing library has to say is of no use to a user; nothing here depends on the outside.
fn picture(
    chart: &Chart,
    title: &str,
    y_title: &str,
    lines: &[Line],
    y_label: &dyn Fn(&f64) -> String,
) -> Result<String, BenchError> {
    let mut svg = String::new();
    let drawn = draw(&mut svg, &format!("{title} ({})", chart.conditions), chart.x, y_title, lines, y_label);
    drawn.map_err(|error| BenchError::Plot { path: PathBuf::from(title), reason: error.to_string() })?;
    Ok(svg)
}

fn draw(
    svg: &mut String,
    title: &str,
    x: Axis,
    y_title: &str,
    lines: &[Line],
    y_label: &dyn Fn(&f64) -> String,
) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut places =
        lines.iter().flat_map(|line| line.points.iter().map(|(value, _)| place(x, *value))).collect::<Vec<_>>();
    places.sort_by(f64::total_cmp);
    places.dedup();
    let (first, last) = (places.first().copied().unwrap_or(1.0), places.last().copied().unwrap_or(1.0));
    let room = if is_logarithmic(x) { 1.3 } else { (last / first).powf(0.03).max(place(x, 0.1)) };
    let heights = lines.iter().flat_map(|line| {
        let ranges = line.ranges.iter().flat_map(|(_, from, to)| [*from, *to]);
        line.points.iter().map(|(_, y)| *y).chain(ranges).collect::<Vec<_>>()
    });
    let y_range = decades(heights);
    let y_ticks = ticks(&y_range, &[1.0]);
    let y_light = ticks(&y_range, &[2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);

    let mut plot = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 20).into_font().color(&BLACK))
        .margin(14)
        .x_label_area_size(48)
        .y_label_area_size(76)
        .build_cartesian_2d(
            (first / room..last * room).log_scale().with_key_points(places),
            y_range.log_scale().with_key_points(y_ticks).with_light_points(y_light),
        )?;
    plot.configure_mesh()
        .x_desc(x_title(x))
        .y_desc(y_title)
        .x_label_formatter(&|at| format!("{:.0}", if is_logarithmic(x) { *at } else { at.log10() * SPREAD }))
        .y_label_formatter(y_label)
        .label_style(("sans-serif", 15).into_font().color(&GREY))
        .axis_desc_style(("sans-serif", 16).into_font().color(&BLACK))
        .axis_style(GREY)
        .bold_line_style(BLACK.mix(0.2))
        .light_line_style(BLACK.mix(0.06))
        .draw()?;

    for line in lines {
        let (style, dashed) = (line.colour.stroke_width(2), line.dashed);
        let points = line.points.iter().map(|(value, y)| (place(x, *value), *y)).collect::<Vec<_>>();
        let drawn = if dashed {
            plot.draw_series(DashedLineSeries::new(points.clone(), DASH, DASH, style))?
        } else {
            plot.draw_series(LineSeries::new(points.clone(), style))?
        };
        drawn.label(line.label.clone()).legend(move |(x, y)| {
            let sample = [(x, y), (x + 24, y)];
            if dashed {
                DashedPathElement::new(sample, DASH, DASH, style).into_dyn()
            } else {
                PathElement::new(sample, style).into_dyn()
            }
        });
        plot.draw_series(points.iter().map(|point| Circle::new(*point, 4, line.colour.filled())))?;
        plot.draw_series(line.ranges.iter().map(|(value, from, to)| {
            let at = place(x, *value);
            PathElement::new(vec![(at, *from), (at, *to)], line.colour)
        }))?;
    }
    plot.configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .legend_area_size(32)
        .margin(8)
        .label_font(("sans-serif", 15).into_font().color(&BLACK))
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.2))
        .draw()?;
    root.present()?;
    Ok(())
}

/// Whether what grows by factors is drawn so.
fn is_logarithmic(x: Axis) -> bool {
    match x {
        Axis::Clients | Axis::Payload | Axis::Groups => true,
        Axis::Nodes | Axis::Reads => false,
    }
}

/// Where a value stands on the axis, which takes the logarithm of everything.
fn place(x: Axis, value: f64) -> f64 {
    if is_logarithmic(x) { value.max(1.0) } else { 10f64.powf(value / SPREAD) }
}

/// Keeps the numbers small of which there is a logarithm only to undo it.
const SPREAD: f64 = 100.0;

fn x_title(x: Axis) -> &'static str {
    match x {
        Axis::Clients => "clients, each with one request under way",
        Axis::Nodes => "nodes",
        Axis::Payload => "bytes of data in each write",
        Axis::Reads => "reads in a hundred requests",
        Axis::Groups => "groups",
    }
}

/// The powers of ten around all values; logarithms of what is not positive there are none.
fn decades(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) = values
        .filter(|value| *value > 0.0)
        .fold((f64::INFINITY, 0.0), |(low, high), value| (value.min(low), value.max(high)));
    if low > high {
        return 1.0..10.0;
    }
    let from = 10f64.powf(low.log10().floor());
    from..10f64.powf(high.log10().floor() + 1.0)
}

/// These multiples of the powers of ten in a range.
fn ticks(range: &Range<f64>, multiples: &[f64]) -> Vec<f64> {
    let mut ticks = Vec::new();
    let mut decade = range.start;
    while decade <= range.end * 1.01 {
        ticks.extend(multiples.iter().map(|multiple| multiple * decade).filter(|tick| *tick <= range.end * 1.01));
        decade *= 10.0;
    }
    ticks
}

/// 1000 as 1 k.
fn count(value: &f64) -> String {
    let (divisor, unit) = match *value {
        value if value >= 1e6 => (1e6, " M"),
        value if value >= 1e3 => (1e3, " k"),
        _ => (1.0, ""),
    };
    format!("{:.0}{unit}", value / divisor)
}

/// Of microseconds.
fn time(us: &f64) -> String {
    let (divisor, unit) = match *us {
        us if us >= 1e6 => (1e6, "s"),
        us if us >= 1e3 => (1e3, "ms"),
        _ => (1.0, "µs"),
    };
    format!("{:.0} {unit}", us / divisor)
}
